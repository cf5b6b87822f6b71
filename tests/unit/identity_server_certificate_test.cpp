// SPDX-License-Identifier: Apache-2.0
#include "identity/server_certificate.h"
#include "tests/unit/identity_fixture.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::kNoon;

// Of a clock that the test moves.
struct ServingPlace {
  explicit ServingPlace(std::size_t entries_max = 100)
      : ledger(*Ledger::open(directory.at("ledger"), {entries_max, entries_max})) {}

  test::TemporaryDirectory directory;
  Time now = kNoon;
  std::unique_ptr<Authorities> authorities = Authorities::given(test::root_authority(), {});
  std::unique_ptr<Ledger> ledger;
  Issuer issuer{*authorities, *ledger, {"example.org", 24h, 48h}, [this] { return now; }};
  ServerCertificate certificate{issuer, test::spiffe_id("spiffe://example.org/cfidentity"), {"localhost"}};
};

std::string serial_of(const std::shared_ptr<SSL_CTX>& context) {
  return context ? serial_text(SSL_CTX_get0_certificate(context.get())) : std::string();
}

}  // namespace

TEST_CASE("a server's certificate always holds: renewed by half its life, over weeks, and where the clock jumps") {
  ServingPlace place;
  std::string serial = serial_of(place.certificate.current());
  REQUIRE_FALSE(serial.empty());
  int renewals = 0;
  for (int hour = 0; hour < 14 * 24; ++hour) {
    place.now += 1h;
    const auto context = place.certificate.current();
    REQUIRE(context);
    const auto* leaf = SSL_CTX_get0_certificate(context.get());
    CHECK(not_after(leaf) - place.now > 8h);
    CHECK(not_before(leaf) <= place.now);
    renewals += serial != serial_of(context) ? 1 : 0;
    serial = serial_of(context);
  }
  CHECK(renewals >= 24);
  CHECK(renewals <= 31);
  for (const auto jump : {std::chrono::hours(1000), std::chrono::hours(-900), std::chrono::hours(3000)}) {
    place.now += jump;
    const auto context = place.certificate.current();
    REQUIRE(context);
    CHECK(not_before(SSL_CTX_get0_certificate(context.get())) <= place.now);
    CHECK(not_after(SSL_CTX_get0_certificate(context.get())) > place.now);
  }
}

TEST_CASE(
    "a server's certificate that is revoked is replaced at once; one that can't be replaced is served while it holds") {
  ServingPlace place(2);
  const auto first = serial_of(place.certificate.current());
  const auto root = place.issuer.principal_of({1, 0, 0, "/"});
  REQUIRE(place.issuer.revoke(root, first, 1));
  const auto second = serial_of(place.certificate.current());
  CHECK_FALSE(second.empty());
  CHECK(second != first);
  place.now += 14h;  // due whatever its jitter, and the ledger is full
  CHECK(serial_of(place.certificate.current()) == second);
  CHECK(place.certificate.figures().failed == 1);
  CHECK_FALSE(place.certificate.figures().problem.empty());
  REQUIRE(place.issuer.revoke(root, second, 1));
  CHECK_FALSE(place.certificate.current());
  CHECK_FALSE(place.certificate.figures().end);
}

}  // namespace cortexflow::identity
