// SPDX-License-Identifier: Apache-2.0
#include <fstream>

#include "identity/authorities.h"
#include "identity/ledger.h"
#include "tests/unit/identity_fixture.h"

namespace cortexflow::identity {
using namespace std::chrono_literals;
using test::kNoon;
using test::TemporaryDirectory;

namespace {

Entry entry_of(const std::string& serial, Time until = kNoon + 24h) {
  return {serial, "spiffe://example.org/w", "aa", kNoon, until, std::nullopt, 0, 0};
}

std::unique_ptr<Ledger> open_ledger(const std::string& path, LedgerLimits limits = {100, 100}) {
  auto ledger = Ledger::open(path, limits);
  INFO((ledger ? "" : ledger.error().to_string()));
  REQUIRE(ledger.has_value());
  return std::move(*ledger);
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("what was issued and revoked is there when the ledger is opened again") {
  const TemporaryDirectory place;
  {
    const auto ledger = open_ledger(place.at("ledger"));
    REQUIRE(ledger->issued(entry_of("01"), kNoon));
    REQUIRE(ledger->issued(entry_of("02"), kNoon));
    REQUIRE(ledger->next_list("aa", 24h, kNoon)->number == 1);
    const auto revoked = ledger->revoke("02", 1, kNoon + 1h);
    REQUIRE(revoked);
    CHECK(revoked->list == 2);
    CHECK(ledger->revoke("02", 4, kNoon + 2h)->reason == 1);  // stays as it is
    CHECK_FALSE(ledger->revoke("03", 1, kNoon));
  }
  const auto ledger = open_ledger(place.at("ledger"));
  CHECK(ledger->size() == 2);
  CHECK_FALSE(ledger->find("01")->revoked);
  CHECK(ledger->find("02")->revoked == kNoon + 1h);
  CHECK(ledger->find("02")->reason == 1);
  CHECK(ledger->find("02")->list == 2);
  CHECK(ledger->next_list("aa", 24h, kNoon)->number == 2);
}

TEST_CASE("the numbers of revocation lists only grow; a delta's base is renewed when it is old") {
  const TemporaryDirectory place;
  const auto ledger = open_ledger(place.at("ledger"));
  CHECK(ledger->next_list("aa", 24h, kNoon)->base == 1);
  CHECK(ledger->next_list("aa", 24h, kNoon + 23h)->base == 1);
  const auto third = ledger->next_list("aa", 24h, kNoon + 24h);
  CHECK(third->number == 3);
  CHECK(third->base == 3);
  CHECK(ledger->next_list("aa", 24h, kNoon - 1h)->base == 4);  // the clock was set back
  CHECK(ledger->next_list("bb", 24h, kNoon)->number == 1);
}

TEST_CASE("a torn record at the end is cut off; a damaged one with good ones behind it is refused") {
  const TemporaryDirectory place;
  const auto path = place.at("ledger");
  {
    const auto ledger = open_ledger(path);
    for (const auto* serial : {"01", "02", "03"}) REQUIRE(ledger->issued(entry_of(serial), kNoon));
  }
  const auto whole = content_of(path);
  const auto second = whole.find('\n') + 1;
  const auto third = whole.find('\n', second) + 1;
  for (auto size = third; size < whole.size(); ++size) {
    std::ofstream(path, std::ios::trunc) << whole.substr(0, size);
    CHECK(open_ledger(path)->size() == 2);
    CHECK(content_of(path) == whole.substr(0, third));
  }
  auto damaged = whole;
  damaged[second + 30] = static_cast<char>(damaged[second + 30] ^ 1);
  std::ofstream(path, std::ios::trunc) << damaged;
  const auto refused = Ledger::open(path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find(":2") != std::string::npos);
  CHECK(content_of(path) == damaged);  // kept for whoever looks into it
}

TEST_CASE("a full table refuses, until certificates have ended; revoked ones are kept for a week more") {
  const TemporaryDirectory place;
  const auto ledger = open_ledger(place.at("ledger"), {2, 2});
  REQUIRE(ledger->issued(entry_of("01", kNoon + 1h), kNoon));
  REQUIRE(ledger->issued(entry_of("02", kNoon + 1h), kNoon));
  REQUIRE(ledger->revoke("02", 1, kNoon));
  const auto full = ledger->issued(entry_of("03"), kNoon);
  REQUIRE_FALSE(full);
  CHECK(full.error().message.find("2 certificates") != std::string::npos);
  REQUIRE(ledger->issued(entry_of("03"), kNoon + 2h));
  CHECK_FALSE(ledger->find("01"));
  CHECK(ledger->find("02")->revoked);
  CHECK_FALSE(ledger->issued(entry_of("04", kNoon + 24h * 30), kNoon + 3h));
  REQUIRE(ledger->issued(entry_of("04", kNoon + 24h * 30), kNoon + 1h + Ledger::kKept + 1s));
  CHECK_FALSE(ledger->find("02"));
}

TEST_CASE("no identity takes more of the table than its part, also over restarts; a place is free when one has ended") {
  const TemporaryDirectory place;
  const auto other = [](const std::string& serial) {
    auto entry = entry_of(serial);
    entry.id = "spiffe://example.org/other";
    return entry;
  };
  {
    const auto ledger = open_ledger(place.at("ledger"), {8, 2});
    REQUIRE(ledger->issued(entry_of("01", kNoon + 1h), kNoon));
    REQUIRE(ledger->issued(entry_of("02"), kNoon));
  }
  const auto ledger = open_ledger(place.at("ledger"), {8, 2});
  CHECK_FALSE(ledger->has_room(entry_of("03").id));
  const auto refused = ledger->issued(entry_of("03"), kNoon + 30min);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("2 certificates of spiffe://example.org/w") != std::string::npos);
  REQUIRE(ledger->issued(other("04"), kNoon + 30min));
  REQUIRE(ledger->issued(entry_of("05"), kNoon + 2h));
  CHECK_FALSE(ledger->issued(entry_of("06"), kNoon + 3h));
  REQUIRE(ledger->revoke("05", 1, kNoon + 3h));
  CHECK_FALSE(ledger->issued(entry_of("06"), kNoon + 24h));
  REQUIRE(ledger->issued(entry_of("06"), kNoon + 24h + 1s));  // 02 has ended, 05 is kept
}

TEST_CASE("a torn file of authorities is refused and left as it is, wherever it is cut") {
  const TemporaryDirectory place;
  const Authorities::OwnRoot own{std::make_shared<KeptFile>(place.at("authorities.json")), "example.org",
                                 KeyType::kEcP256, 365 * 24h};
  REQUIRE(Authorities::open_own(own, Secret("correct horse battery"), kNoon));
  const auto whole = content_of(own.kept->name());
  constexpr std::size_t kCuts = 12;
  for (std::size_t i = 0; i < kCuts; ++i) {
    const auto torn = whole.substr(0, i * (whole.size() - 2) / kCuts);
    std::ofstream(own.kept->name(), std::ios::trunc) << torn;
    const auto opened = Authorities::open_own(own, Secret("correct horse battery"), kNoon);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().message.find("authorities.json") != std::string::npos);
    CHECK(content_of(own.kept->name()) == torn);
  }
}

TEST_CASE("an own root is made once, rotated in two steps, and goes when nothing of it stands") {
  const TemporaryDirectory place;
  const Authorities::OwnRoot own{std::make_shared<KeptFile>(place.at("authorities.json")), "example.org",
                                 KeyType::kEcP256, 365 * 24h};
  std::string first;
  {
    auto opened = Authorities::open_own(own, Secret("correct horse battery"), kNoon);
    REQUIRE(opened);
    auto& authorities = **opened;
    first = authorities.current()->active().id();
    CHECK_FALSE(authorities.activate());  // nothing prepared
    REQUIRE(authorities.prepare(kNoon));
    CHECK_FALSE(authorities.prepare(kNoon));
    CHECK(authorities.current()->active().id() == first);
    CHECK(authorities.current()->roots().size() == 2);
    REQUIRE(authorities.activate());
    CHECK(authorities.current()->active().id() != first);
  }
  CHECK(content_of(own.kept->name()).find("BEGIN PRIVATE KEY") == std::string::npos);
  CHECK_FALSE(Authorities::open_own(own, Secret("another passphrase"), kNoon));
  auto opened = Authorities::open_own(own, Secret("correct horse battery"), kNoon);
  REQUIRE(opened);
  auto& authorities = **opened;
  CHECK(authorities.current()->roots().size() == 2);
  REQUIRE(authorities.current()->find(first) != nullptr);
  const auto stands = [](const std::string&) { return std::optional<Time>(kNoon + 24h); };
  CHECK_FALSE(*authorities.retire(stands, kNoon));
  CHECK(*authorities.retire(stands, kNoon + 25h));
  CHECK(authorities.current()->roots().size() == 1);
  CHECK(authorities.current()->find(first) == nullptr);
}

}  // namespace cortexflow::identity
