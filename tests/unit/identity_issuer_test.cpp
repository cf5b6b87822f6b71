// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <iterator>

#include "identity/daemon/settings.h"
#include "identity/issuer.h"
#include "tests/unit/identity_fixture.h"
#include "tests/unit/paths.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::key_of;
using test::kNoon;
using test::spiffe_id;
using test::TemporaryDirectory;

// Of a clock that the test moves.
struct IssuerPlace {
  TemporaryDirectory directory;
  Time now = kNoon;
  std::unique_ptr<Authorities> authorities = Authorities::given(test::root_authority(), {});
  std::unique_ptr<Ledger> ledger = std::move(*Ledger::open(directory.at("ledger"), {4, 4}));
  Issuer issuer{*authorities, *ledger, {"example.org", 24h, 48h}, [this] { return now; }};
};

std::string request_for(const std::string& id, const std::vector<std::string>& dns_names = {}) {
  const auto key = key_of();
  return *make_csr(key.get(), spiffe_id(id), dns_names);
}

const std::string kCart = "spiffe://example.org/ns/shop/sa/cart";
const Caller kRoot{1, 0, 0, "/"};
const Caller kUser{2, 1001, 1001, "/system.slice/cart.service/worker"};

}  // namespace

TEST_CASE("who is which workload: all that a rule gives has to hold, a cgroup with what is below it") {
  const auto rule = [](std::optional<uid_t> uid, std::optional<gid_t> gid, std::optional<std::string> cgroup) {
    return Mapping({WorkloadRule{spiffe_id(), uid, gid, std::move(cgroup), {}}});
  };
  CHECK(rule(1001, {}, {}).of(kUser).size() == 1);
  CHECK(rule(1001, 1001, "/system.slice/cart.service").of(kUser).size() == 1);
  CHECK(rule({}, {}, "/system.slice").of(kUser).size() == 1);
  CHECK(rule(1002, {}, {}).of(kUser).empty());
  CHECK(rule(1001, 5, {}).of(kUser).empty());
  CHECK(rule({}, {}, "/system.slice/cart").of(kUser).empty());
  CHECK(rule({}, {}, "/system.slice/cart.service/worker/below").of(kUser).empty());
  CHECK(rule({}, {}, "/system.slice").of({3, 1001, 1001, ""}).empty());  // unknown
}

TEST_CASE("the mapping may be read again while the trust domain stays; another one needs a restart") {
  const TemporaryDirectory directory;
  const auto path = directory.at("identity.yaml");
  const auto write = [&](const std::string& domain) {
    std::ofstream(path) << "trust_domain: " << domain << "\nworkloads:\n  - {spiffe_id: spiffe://" << domain
                        << "/ns/shop/sa/cart, uid: 7}\n";
  };
  Settings running;
  running.trust_domain = "example.org";
  write("example.org");
  const auto workloads = reread_workloads(path, running);
  REQUIRE(workloads);
  REQUIRE(workloads->size() == 1);
  CHECK(workloads->front().uid == uid_t{7});
  write("example.com");
  const auto refused = reread_workloads(path, running);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().to_string() == "another trust domain needs a restart");
}

TEST_CASE("lists grow with revocations and are made anew when they are old; a full ledger refuses with 507") {
  IssuerPlace place;
  auto& issuer = place.issuer;
  const auto grant = issuer.issue(issuer.principal_of(kRoot), request_for(kCart), {});
  REQUIRE(grant);
  const auto before = issuer.lists({});
  REQUIRE(before);
  CHECK(issuer.lists({})->number == before->number);
  place.now += RevocationLists::kRefreshed;
  CHECK(issuer.lists({})->number == before->number + 1);
  REQUIRE(issuer.revoke(issuer.principal_of(kRoot), grant->entry.serial, 1));
  CHECK(issuer.lists({})->number == before->number + 2);
  CHECK(issuer.lists("none").error().status == 404);
  for (int i = 0; i < 3; ++i) REQUIRE(issuer.issue(issuer.principal_of(kRoot), request_for(kCart), {}));
  CHECK(issuer.issue(issuer.principal_of(kRoot), request_for(kCart), {}).error().status == 507);
  CHECK(issuer.figures().refused.at("full") == 1);
}

TEST_CASE("each refusal has its status: what is wrong, what is not theirs, what is too long") {
  IssuerPlace place;
  auto& issuer = place.issuer;
  issuer.set_mapping(Mapping({WorkloadRule{spiffe_id(kCart), 1001, {}, {}, {"cart.shop.svc"}}}));
  CHECK(issuer.issue(issuer.principal_of(kRoot), "x", {}).error().status == 400);
  CHECK(issuer.issue(issuer.principal_of(kRoot), request_for("spiffe://other.org/w"), {}).error().status == 403);
  CHECK(issuer.issue(issuer.principal_of(kRoot), request_for(kCart), 49h).error().status == 400);
  CHECK(issuer.issue(issuer.principal_of(kUser), request_for("spiffe://example.org/w"), {}).error().status == 403);
  CHECK(issuer.issue(issuer.principal_of(kUser), request_for(kCart, {"web.shop.svc"}), {}).error().status == 403);
  const auto own = issuer.issue(issuer.principal_of(kUser), request_for(kCart, {"cart.shop.svc"}), {});
  REQUIRE(own);
  CHECK(issuer.revoke(issuer.principal_of({3, 1002, 1002, ""}), own->entry.serial, 0).error().status == 403);
  CHECK(issuer.revoke(issuer.principal_of(kRoot), "abcd", 0).error().status == 404);
  CHECK(issuer.prepare(issuer.principal_of(kUser)).error().status == 403);
  CHECK(issuer.prepare(issuer.principal_of(kRoot)).error().status == 409);  // given in files
  CHECK(issuer.revoke(issuer.principal_of(kUser), own->entry.serial, 0));
}

TEST_CASE(
    "a clock that jumps: nothing is issued that would not hold, nothing that stands is forgotten, and it goes on "
    "after") {
  IssuerPlace place;
  auto& issuer = place.issuer;
  const auto root = issuer.principal_of(kRoot);
  const auto first = issuer.issue(root, request_for(kCart), {});
  REQUIRE(first);
  const auto revoked = issuer.issue(root, request_for(kCart), {});
  REQUIRE(revoked);
  REQUIRE(issuer.revoke(root, revoked->entry.serial, 1));
  place.now = kNoon - 24h * 30;  // the authority does not hold yet
  const auto early = issuer.issue(root, request_for(kCart), {});
  REQUIRE_FALSE(early);
  CHECK(early.error().status == 500);
  CHECK_FALSE(early.error().error.message.empty());
  CHECK(issuer.entries(root).size() == 2);
  place.now = kNoon + 24h * 3;  // what was revoked is kept a week over its end
  const auto later = issuer.issue(root, request_for(kCart), {});
  REQUIRE(later);
  CHECK(later->entry.not_before <= place.now);
  CHECK(later->entry.not_after > place.now);
  place.now = kNoon;
  CHECK(issuer.ledger().find(revoked->entry.serial)->revoked);
  CHECK(issuer.issue(root, request_for(kCart), {}));
  CHECK(issuer.lists({})->number > 0);
}

TEST_CASE("identity.yaml: the example is taken; a wrong line is named with its key and what was expected") {
  std::ifstream file(std::string(test::kExamples) + "/identity.yaml");
  const std::string example{std::istreambuf_iterator<char>(file), {}};
  const auto settings = parse_settings(example);
  INFO((settings ? "" : settings.error().message));
  REQUIRE(settings);
  CHECK(settings->workloads.size() == 2);
  struct Row {
    std::string text, word;
  };
  const std::vector<Row> rows{
      {"", "expected"},
      {"[]", "expected"},
      {"a: {", "not YAML"},
      {"trust_domain: EXAMPLE", "lower-case"},
      {"trust_domian: td", "trust_domian"},
      {"trust_domain: td\ntrust_domain: td", "twice"},
      {"trust_domain: td\ncertificates:\n  lifetime: 30m", ":3"},
      {"trust_domain: td\ncertificates: {lifetime: 366d}", "365d"},
      {"trust_domain: td\nauthority: {key_type: dsa}", "ec-p384"},
      {"trust_domain: td\nauthority: {certificate: /a}", "both"},
      {"trust_domain: td\nmetrics_listen: here", "ADDRESS:PORT"},
      {"trust_domain: td\ncrl_listen: 127.0.0.1:80", "crl_url"},
      {"trust_domain: td\ncrl_url: https://crl.example.org", "http"},
      {"trust_domain: td\ncrl_url: 'http://a,URI:b'", "crl_url"},
      {"trust_domain: td\nworkload_api_socket: /a\ncontrol_socket: /a", "another path"},
      {"trust_domain: td\nstate: {kubernetes: {name: ca}}", "name and namespace"},
      {"trust_domain: td\nstate: {}", "name and namespace"},
      {"trust_domain: td\nstate: {kubernetes: {name: ca, namespace: n}}\nstate_dir: /a", "one of them"},
      {"trust_domain: td\nstate: {kubernetes: {name: ../ca, namespace: n}}", "lower-case"},
      {"trust_domain: td\nstate: {kubernetes: {name: ca, namespace: n, host: h}}", "state.kubernetes.host"},
      {"trust_domain: td\nworkloads: [{spiffe_id: 'spiffe://td/w'}]", "uid"},
      {"trust_domain: td\nworkloads: [{spiffe_id: 'spiffe://other/w', uid: 1}]", "spiffe_id"},
      {"trust_domain: td\nworkloads: [{spiffe_id: 'spiffe://td/w', uid: -1}]", "number"},
      {"trust_domain: td\nworkloads: [{spiffe_id: 'spiffe://td/w', cgroup: a}]", "path"},
  };
  for (const auto& row : rows) {
    INFO(row.text);
    const auto refused = parse_settings(row.text);
    REQUIRE_FALSE(refused);
    INFO(refused.error().message);
    CHECK(refused.error().message.find(row.word) != std::string::npos);
  }
  const auto replica = parse_settings("trust_domain: td\nstate: {kubernetes: {name: ca, namespace: n, replica: ca-1}}");
  REQUIRE(replica);
  REQUIRE(replica->cluster);
  CHECK(replica->cluster->name == "ca");
  CHECK(replica->cluster->kubeconfig == "in-cluster");
}

}  // namespace cortexflow::identity
