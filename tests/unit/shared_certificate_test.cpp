// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/shared_certificate.h"

#include <set>

#include "tests/unit/identity_fixture.h"
#include "tests/unit/secret_store_fake.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::kNoon;

// Of clocks that the test moves: that of the wall, and that of looks.
struct SharingPlace {
  test::TemporaryDirectory directory;
  Time now = kNoon;
  SharedCertificate::Clock::time_point steady{};
  std::unique_ptr<Authorities> authorities = Authorities::given(test::root_authority(), {});
  std::unique_ptr<Ledger> ledger = *Ledger::open(directory.at("ledger"), {1000, 1000});
  Issuer issuer{*authorities, *ledger, {"example.org", 24h, 48h}, [this] { return now; }};
  std::shared_ptr<test::FakeSecrets> secrets = std::make_shared<test::FakeSecrets>();
  SharedCertificate leader = certificate({"a.example.org"}), follower = certificate({"a.example.org"});

  [[nodiscard]] SharedCertificate certificate(std::vector<std::string> names) {
    return {secrets, "ca-webhook", test::spiffe_id("spiffe://example.org/cfidentity"), std::move(names),
            [this] { return now; }};
  }
  void look(const std::string& claim = "a/1") {
    steady += SharedCertificate::kEvery;
    leader.lead(issuer, claim, steady);
    follower.follow(steady);
  }
};

std::string shared_serial(SharedCertificate& certificate) {
  const auto context = certificate.current();
  return context ? serial_text(SSL_CTX_get0_certificate(context.get())) : std::string();
}

}  // namespace

TEST_CASE("what the replica that leads serves with, the others serve with too, over renewals and weeks") {
  SharingPlace place;
  place.follower.follow(place.steady);
  CHECK_FALSE(place.follower.current());
  CHECK(place.follower.figures().problem.find("no Secret ca-webhook yet") != std::string::npos);
  std::set<std::string> seen;
  for (int hour = 0; hour < 7 * 24; ++hour, place.now += 1h) {
    place.look();
    REQUIRE(place.leader.current());
    CHECK(shared_serial(place.leader) == shared_serial(place.follower));
    CHECK(not_after(SSL_CTX_get0_certificate(place.follower.current().get())) - place.now > 8h);
    seen.insert(shared_serial(place.follower));
  }
  CHECK(seen.size() >= 12);
  CHECK(seen.size() <= 16);
  CHECK(place.leader.figures().made == seen.size());
  CHECK(place.follower.figures().made == 0);
  CHECK(place.follower.figures().problem.empty());
}

TEST_CASE("the next leader goes on with the certificate that is there, unless it is revoked or for other names") {
  SharingPlace place;
  place.look();
  const auto first = shared_serial(place.leader);
  auto next = place.certificate({"a.example.org"});
  next.lead(place.issuer, "b/1", place.steady);
  CHECK(shared_serial(next) == first);
  REQUIRE(place.issuer.revoke(place.issuer.principal_of({1, 0, 0, "/"}), first, 1));
  place.look();
  const auto second = shared_serial(place.leader);
  CHECK(second != first);
  CHECK(shared_serial(place.follower) == second);
  auto renamed = place.certificate({"b.example.org"});
  renamed.lead(place.issuer, "c/1", place.steady);
  CHECK(shared_serial(renamed) != second);
}

TEST_CASE("a certificate whose Secret can't be read or written is served as long as it holds, and that is said") {
  SharingPlace place;
  place.look();
  const auto first = shared_serial(place.leader);
  place.secrets->loss = test::FakeSecrets::Loss::kRequest;
  place.now += 14h;  // due whatever its jitter
  place.look();
  CHECK(shared_serial(place.leader) == first);
  CHECK(shared_serial(place.follower) == first);
  CHECK(place.leader.figures().problem.find("Secret ca-webhook") != std::string::npos);
  CHECK(place.follower.figures().failed == 1);
  place.now += 12h;
  CHECK_FALSE(place.follower.current());
  place.secrets->loss = test::FakeSecrets::Loss::kNone;
  place.look();
  CHECK(place.follower.current());
  CHECK(shared_serial(place.leader) == shared_serial(place.follower));
}

TEST_CASE(
    "a Secret that can be read and not written costs the ledger few certificates, and that is said all the time") {
  SharingPlace place;
  place.look();
  place.now += 14h;  // due whatever its jitter
  place.secrets->unwritable = true;
  for (int looks = 0; looks < 17'280; ++looks) {  // a day
    place.look();
    REQUIRE(place.leader.figures().problem.find("cannot write") != std::string::npos);
  }
  CHECK(place.ledger->size() <= 160);
  place.secrets->unwritable = false;
  for (int looks = 0; looks < 120; ++looks) place.look();
  CHECK(place.leader.figures().problem.empty());
}

TEST_CASE("what somebody else wrote into the Secret is replaced, and what is no certificate is not served") {
  SharingPlace place;
  place.look();
  for (const char* key : {SharedCertificate::kCertificateKey, SharedCertificate::kPrivateKey}) {
    const auto before = shared_serial(place.leader);
    auto& secret = place.secrets->secrets.at("ca-webhook");
    secret.data[key] = "nothing";
    secret.version += "x";
    place.steady += SharedCertificate::kEvery;
    place.follower.follow(place.steady);
    CHECK(shared_serial(place.follower) == before);
    CHECK_FALSE(place.follower.figures().problem.empty());
    place.look();
    CHECK(shared_serial(place.leader) == shared_serial(place.follower));
    CHECK(shared_serial(place.leader) != before);
  }
}

}  // namespace cortexflow::identity
