// SPDX-License-Identifier: Apache-2.0
// Killed at every change of a file: what was acknowledged before is there afterwards.
#include <sys/mman.h>

#include <array>
#include <cstring>

#include "identity/authorities.h"
#include "identity/ledger.h"
#include "tests/crash/killed_writes.h"
#include "tests/unit/identity_fixture.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::Death;
using test::kNoon;
using test::TemporaryDirectory;

constexpr int kChangesMax = 400;  // far more than the work has
constexpr std::size_t kCertificates = 12;
constexpr std::size_t kEntriesMax = 8;  // so that the table is full on the way, and the journal is written anew
constexpr std::array kDeaths{Death::kBefore, Death::kHalfway, Death::kPowerLoss};

// Shared with the child: what was acknowledged to it.
struct Acknowledged {
  std::array<bool, kCertificates> issued;
  std::array<bool, kCertificates> revoked;
  std::uint64_t list;
  int step;                               // of a rotation
  std::array<char, 64> prepared, active;  // authorities' ids
};

class Shared {
 public:
  Shared() : at_(mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(at_ != MAP_FAILED);
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(at_, sizeof(Acknowledged)); }
  Acknowledged* operator->() const { return static_cast<Acknowledged*>(at_); }
  void clear() const { std::memset(at_, 0, sizeof(Acknowledged)); }

 private:
  void* at_;
};

std::string serial_of(std::size_t i) { return fmt::format("{:02x}", i + 1); }

// The first half ends an hour after noon.
Entry entry_of(std::size_t i) {
  const Time until = kNoon + (i < kCertificates / 2 ? 1h : 24h);
  return {serial_of(i), "spiffe://example.org/w", "aa", kNoon, until, std::nullopt, 0, 0};
}

void must(bool holds) {
  if (!holds) _exit(3);
}

void issue_and_revoke(const std::string& path, const Shared& shared) {
  auto ledger = Ledger::open(path, {kEntriesMax, kEntriesMax});
  must(ledger.has_value());
  for (std::size_t i = 0; i < kCertificates; ++i) {
    const Time now = i < kCertificates / 2 ? kNoon : kNoon + 2h;
    must((*ledger)->issued(entry_of(i), now).has_value());
    shared->issued[i] = true;
    if (i % 3 == 1) {
      must((*ledger)->revoke(serial_of(i), 1, now).has_value());
      shared->revoked[i] = true;
      const auto list = (*ledger)->next_list("aa", 24h, now);
      must(list.has_value());
      shared->list = list->number;
    }
  }
}

void copy_id(std::array<char, 64>& to, const std::string& id) { id.copy(to.data(), to.size() - 1); }

void rotate(const Authorities::OwnRoot& own, const Shared& shared) {
  auto opened = Authorities::open_own(own, Secret("correct horse battery"), kNoon);
  must(opened.has_value());
  auto& authorities = **opened;
  copy_id(shared->active, authorities.current()->active().id());
  shared->step = 1;
  must(authorities.prepare(kNoon).has_value());
  copy_id(shared->prepared, authorities.current()->held.back().authority->id());
  shared->step = 2;
  must(authorities.activate().has_value());
  shared->step = 3;
}

void check_ledger(const std::string& path, const Shared& shared) {
  const auto opened = Ledger::open(path, {kEntriesMax, kEntriesMax});
  INFO((opened ? "" : opened.error().to_string()));
  REQUIRE(opened.has_value());
  for (std::size_t i = 0; i < kCertificates; ++i) {
    INFO("certificate " << i);
    const auto entry = (*opened)->find(serial_of(i));
    const bool may_be_gone = i < kCertificates / 2 && !shared->revoked[i];  // it has ended
    if (shared->issued[i] && !may_be_gone) REQUIRE(entry.has_value());
    if (shared->revoked[i]) CHECK(entry->revoked.has_value());
  }
  CHECK((*opened)->next_list("aa", 24h, kNoon)->number > shared->list);
}

void check_rotation(const Authorities::OwnRoot& own, const Shared& shared) {
  const auto opened = Authorities::open_own(own, Secret("correct horse battery"), kNoon);
  INFO((opened ? "" : opened.error().to_string()));
  REQUIRE(opened.has_value());
  const auto set = (*opened)->current();
  if (shared->step >= 1) CHECK(set->find(shared->active.data()) != nullptr);
  if (shared->step >= 2) CHECK(set->find(shared->prepared.data()) != nullptr);
  if (shared->step == 1) CHECK(set->active().id() == shared->active.data());
  if (shared->step == 3) CHECK(set->active().id() == shared->prepared.data());
}

}  // namespace

TEST_CASE("what was issued or revoked is known after a kill at any write, sync, rename or cut") {
  const Shared shared;
  for (const auto death : kDeaths) {
    bool killed = true;
    int nth = 1;
    for (; killed && nth < kChangesMax; ++nth) {
      INFO("death " << static_cast<int>(death) << " at change " << nth);
      const TemporaryDirectory place;
      shared.clear();
      killed = test::killed_at(nth, death, place.at(""), [&] { issue_and_revoke(place.at("ledger"), shared); });
      check_ledger(place.at("ledger"), shared);
      // Once more from there on: what was left over doesn't stand in the way.
      if (killed)
        CHECK_FALSE(
            test::killed_at(0, death, place.at(""), [&] { must(Ledger::open(place.at("ledger")).has_value()); }));
    }
    CHECK_FALSE(killed);
    CHECK(nth > 40);  // there were that many places to die at
  }
}

TEST_CASE("an authority that was in the bundle is there after a kill at any write, sync or rename of a rotation") {
  const Shared shared;
  for (const auto death : kDeaths) {
    bool killed = true;
    int nth = 1;
    for (; killed && nth < kChangesMax; ++nth) {
      INFO("death " << static_cast<int>(death) << " at change " << nth);
      const TemporaryDirectory place;
      const Authorities::OwnRoot own{std::make_shared<KeptFile>(place.at("authorities.json")), "example.org",
                                     KeyType::kEcP256, 365 * 24h};
      shared.clear();
      killed = test::killed_at(nth, death, place.at(""), [&] { rotate(own, shared); });
      check_rotation(own, shared);
    }
    CHECK_FALSE(killed);
    CHECK(nth > 9);
  }
}

}  // namespace cortexflow::identity
