// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/workload_api.h"

#include <unistd.h>

#include "identity/renewal.h"
#include "tests/unit/identity_fixture.h"
#include "tests/unit/workload_client.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::kNoon;
using test::TemporaryDirectory;
using test::WorkloadClient;

const std::string kOwnId = "spiffe://example.org/ns/shop/sa/cart";

// A Workload API whose callers are this process's user, and whose clock the test moves.
struct WorkloadPlace {
  explicit WorkloadPlace(WorkloadLimits limits = {}, std::chrono::hours lifetime = 24h)
      : issuer(*authorities, *ledger, {"example.org", lifetime, lifetime}, [this] { return now.load(); }),
        api(issuer, directory.at("workload.sock"), limits) {
    issuer.set_mapping(Mapping({rule(kOwnId)}));
    issuer.set_listener([this](Issuer::Change what) { api.changed(what); });
    REQUIRE(api.start());
  }
  static WorkloadRule rule(const std::string& id) { return {test::spiffe_id(id), getuid(), {}, {}, {"cart.shop.svc"}}; }
  WorkloadClient client() const { return WorkloadClient(directory.at("workload.sock")); }
  // The loop looks at the clock each second; this is for tests that move it often.
  void advance(Time::duration by) {
    now = now.load() + by;
    api.changed(Issuer::Change::kRevocations);
  }

  TemporaryDirectory directory;
  std::atomic<Time> now = kNoon;
  std::unique_ptr<Authorities> authorities = Authorities::given(test::root_authority(), {});
  std::unique_ptr<Ledger> ledger = std::move(*Ledger::open(directory.at("ledger"), {64, 64}));
  Issuer issuer;
  WorkloadApi api;
};

std::string field_of(std::string_view message, std::uint64_t wanted) {
  while (!message.empty()) {
    const auto tag = grpc::take_varint(message);
    REQUIRE(tag);
    auto rest = message;
    REQUIRE(grpc::skip(message, *tag & 7));
    if (*tag >> 3 != wanted) continue;
    const auto size = grpc::take_varint(rest);
    REQUIRE(size);
    return std::string(rest.substr(0, *size));
  }
  return {};
}

Certificate leaf_of(const std::string& answer) {
  const auto chain = field_of(field_of(answer, 1), 2);
  const auto* at = reinterpret_cast<const unsigned char*>(chain.data());
  Certificate leaf(d2i_X509(nullptr, &at, static_cast<long>(chain.size())));
  REQUIRE(leaf);
  return leaf;
}

Svid held_svid(const std::string& id, Time ends, Time renew_at) {
  return {id, "chain", Secret("key"), "serial of " + id, ends, renew_at};
}

}  // namespace

TEST_CASE("a standing call has certificates that always hold: each is replaced by half its life, over weeks") {
  WorkloadPlace place;
  auto client = place.client();
  const auto call = client.call("FetchX509SVID");
  auto answer = client.answer(call);
  REQUIRE(answer);
  auto leaf = leaf_of(*answer);
  CHECK(names_of(*leaf)->id.text() == kOwnId);
  const auto end = kNoon + 14 * 24h;
  std::size_t renewed = 0;
  while (place.now.load() < end) {
    place.advance(not_before(leaf.get()) + std::chrono::seconds(24h + kBackdate) * 11 / 20 - place.now.load() + 1s);
    // A refreshed list, twice a day, is an answer of its own.
    Certificate next;
    do {
      answer = client.answer(call);
      REQUIRE(answer);
      next = leaf_of(*answer);
      CHECK(not_after(next.get()) > place.now.load() + 10h);
    } while (serial_text(next.get()) == serial_text(leaf.get()));
    leaf = std::move(next);
    ++renewed;
  }
  CHECK(renewed >= 25);
  CHECK(place.api.figures().renewed == renewed);
  CHECK(place.ledger->size() <= 64);
}

TEST_CASE(
    "a revoked certificate is replaced at once; what can't be renewed stays as long as it holds, then the call ends") {
  WorkloadPlace place;
  auto client = place.client();
  const auto call = client.call("FetchX509SVID");
  const auto first = leaf_of(*client.answer(call));
  REQUIRE(place.issuer.revoke(place.issuer.principal_of({1, 0, 0, "/"}), serial_text(first.get()), 1));
  CHECK(serial_text(leaf_of(*client.answer(call)).get()) != serial_text(first.get()));
  while (place.ledger->size() < place.ledger->capacity()) {  // others fill the ledger, for longer
    REQUIRE(place.issuer.issue(WorkloadPlace::rule(kOwnId), *test::key_of()));
  }
  place.advance(14h);
  const auto failed = [&] { return place.api.figures().failed > 0; };
  const auto most = std::chrono::steady_clock::now() + 10s;
  while (!failed() && std::chrono::steady_clock::now() < most) std::this_thread::sleep_for(1ms);
  REQUIRE(failed());
  CHECK(place.api.figures().svid_calls == 1);
  place.issuer.set_mapping(Mapping());
  CHECK(client.status(call) == "7");
}

TEST_CASE("what a standing call holds: new ones replace old ones, failures keep what still holds, revoked ones go") {
  Watch watch;
  const auto ids = std::vector<std::string>{"a", "b"};
  const auto later = kNoon + 24h;
  const auto make = [&](std::vector<std::string> made_ids, std::optional<Refusal> refusal = {}) {
    Made made{ids, {}, std::move(refusal)};
    for (const auto& id : made_ids) made.svids.push_back(held_svid(id, later, kNoon + 12h));
    return made;
  };
  const Refusal full{507, {"full", {}}};
  CHECK_FALSE(watch.take(make({"b", "a"}), kNoon).refusal);
  REQUIRE(watch.held.size() == 2);
  CHECK(watch.held[0].id == "a");  // the mapping's order
  CHECK(std::exchange(watch.untold, false));
  CHECK(watch.due == kNoon + 12h);
  CHECK(watch.standing(kNoon + 11h).size() == 2);
  CHECK(watch.standing(kNoon + 12h).empty());

  const auto failed = watch.take(make({}, full), kNoon + 13h);
  CHECK(failed.failed);
  CHECK_FALSE(failed.refusal);
  CHECK_FALSE(watch.untold);
  CHECK(watch.due == kNoon + 13h + Watch::kRetry);

  const auto renewed = watch.take(make({"a"}, full), kNoon + 14h);
  CHECK(renewed.renewed == 1);
  CHECK(std::exchange(watch.untold, false));

  CHECK(watch.outdate([](const std::string& serial) { return serial == "serial of b"; }));
  CHECK(watch.standing(kNoon) == std::set<std::string>{"a"});
  CHECK_FALSE(watch.take(make({}, full), kNoon + 14h).refusal);
  CHECK(watch.held.size() == 1);
  CHECK(watch.untold);
  CHECK(watch.take(make({}, full), later).refusal->status == 507);
  CHECK(watch.held.empty());
}

TEST_CASE("an identity that could not be had is asked for again soon, though another one stands") {
  Watch watch;
  const Refusal full{507, {"full", {}}};
  Made made{{"a", "b"}, {}, full};
  made.svids.push_back(held_svid("a", kNoon + 24h, kNoon + 12h));
  const auto taken = watch.take(std::move(made), kNoon);
  CHECK(taken.failed);
  CHECK(watch.held.size() == 1);
  CHECK(watch.due == kNoon + Watch::kRetry);
}

TEST_CASE("connections that ask for nothing keep nobody out: the longest idle one is hung up on") {
  WorkloadPlace place({.connections = 8, .connections_per_user = 2});
  auto idle = place.client();
  auto asking = place.client();
  REQUIRE(asking.answer(asking.call("FetchX509SVID")));
  auto third = place.client();
  CHECK(third.answer(third.call("FetchX509SVID")));
  CHECK(asking.answer(asking.call("FetchX509SVID")));
  CHECK(idle.status(idle.call("FetchX509SVID")).empty());
  CHECK(place.api.figures().connections == 2);
  CHECK(place.api.figures().refused.at("connections") == 1);
}

TEST_CASE("what is too much is refused: connections of a user are hung up on, calls get RESOURCE_EXHAUSTED") {
  WorkloadPlace place({.connections = 8, .connections_per_user = 2, .calls = 2, .calls_per_connection = 1});
  auto first = place.client();
  const auto standing = first.call("FetchX509SVID");
  REQUIRE(first.answer(standing));
  CHECK(first.status(first.call("FetchX509Bundles")) == "8");
  auto second = place.client();
  REQUIRE(second.answer(second.call("FetchX509Bundles")));
  auto third = place.client();
  CHECK(third.status(third.call("FetchX509SVID")).empty());
  first.cancel(standing);
  CHECK(first.answer(first.call("FetchX509SVID")));
  CHECK(place.api.figures().refused.at("connections") == 1);
  CHECK(place.api.figures().refused.at("RESOURCE_EXHAUSTED") == 1);
  place.api.stop();
  CHECK(first.status(standing).empty());
}

TEST_CASE("calls that are no calls have their status, and harm no other of the connection") {
  WorkloadPlace place;
  auto client = place.client();
  const auto standing = client.call("FetchX509SVID");
  REQUIRE(client.answer(standing));
  struct Row {
    std::string sentence, method, request, header, status;
  };
  const std::string empty(5, '\0');
  const std::vector<Row> rows{
      {"no metadata", "FetchX509SVID", empty, "false", "3"},
      {"another method", "FetchJWTSVID", empty, "true", "12"},
      {"no message", "FetchX509SVID", "", "true", "3"},
      {"half a message", "FetchX509SVID", std::string("\0\0\0\0\5a", 6), "true", "3"},
      {"a message that is none", "FetchX509SVID", std::string("\0\0\0\0\1\7", 6), "true", "3"},
      {"a compressed one", "FetchX509SVID", std::string("\1\0\0\0\0", 5), "true", "12"},
      {"a long one", "FetchX509SVID", std::string(8192, '\0'), "true", "8"},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    CHECK(client.status(client.call(row.method, row.request, row.header)) == row.status);
  }
  CHECK(client.answer(client.call("FetchX509SVID", std::string("\0\0\0\0\3\x7a\1x", 8))));  // an unknown field
  place.issuer.set_mapping(Mapping());
  CHECK(client.status(standing) == "7");
}

TEST_CASE("10,000 certificates of one moment are renewed over hours: no minute has twice its share") {
  std::map<std::int64_t, std::size_t> minutes;
  constexpr std::size_t kWorkloads = 10'000;
  for (std::size_t i = 0; i < kWorkloads; ++i) {
    const auto at = renewal_time(kNoon - kBackdate, kNoon + 24h, draw_jitter());
    ++minutes[std::chrono::duration_cast<std::chrono::minutes>(at - kNoon).count()];
  }
  const auto share = static_cast<double>(kWorkloads) / (24 * 60 / 10.0);
  for (const auto& [minute, count] : minutes) CHECK(static_cast<double>(count) < 2 * share);
}

}  // namespace cortexflow::identity
