// SPDX-License-Identifier: Apache-2.0
// Which targets there are, what each counts as, and when it is to be asked next.  No system call; time is passed in.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "agent/health/outcome.h"
#include "agent/health/target.h"

namespace cortexflow::health {

using Time = std::chrono::steady_clock::time_point;

// Of all services of a node; what comes when it is full is not checked, and so counts as healthy.
inline constexpr std::size_t kTargetsMax = 65536;

enum class Health : std::uint8_t {
  kUnknown,  // not asked yet, or too few bad results so far: used as if healthy
  kHealthy,
  kUnhealthy,
};

struct TargetState {
  Health health = Health::kUnknown;
  Time since{};                 // when it became that
  std::optional<Outcome> last;  // nothing: not asked yet
};

class TargetTable {
 public:
  explicit TargetTable(std::uint64_t seed, std::size_t max = kTargetsMax) : random_(seed), max_(max) {}

  // One more service wants it checked; false: there is no room.  A target that is new here begins as `begins`, if
  // there is one: as what it counted as when a policy changes the way in which it is asked, or with an agent before.
  [[nodiscard]] bool add(const Target& target, Time now, std::optional<TargetState> begins = {});
  // One service less; with the last, its state goes.
  void remove(const Target& target);

  // The target that is due longest, which is then in flight until its result; nothing: none is due.
  [[nodiscard]] std::optional<std::pair<Target, Time>> take_due(Time now);
  [[nodiscard]] std::optional<Time> next_due() const;

  // True where it has become unhealthy, or healthy after that.  A result for a target that has gone is none.
  bool note(const Target& target, Outcome outcome, Time now);

  [[nodiscard]] std::optional<TargetState> find(const Target& target) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t unhealthy() const { return unhealthy_; }
  [[nodiscard]] std::size_t unknown() const { return unknown_; }

 private:
  struct Entry {
    std::size_t services = 1;
    TargetState state;
    std::uint32_t contrary = 0;  // results in a row that speak against what it counts as
    Time due;
    bool in_flight = false;
  };
  using Entries = std::map<Target, Entry>;

  void become(Entry& entry, Health health, Time now);
  void count(Health health, int change);

  std::mt19937_64 random_;
  std::size_t max_;
  Entries entries_;
  std::set<std::pair<Time, const Target*>> due_;  // keys of entries_ that are not in flight
  std::size_t unhealthy_ = 0, unknown_ = 0;
};

}  // namespace cortexflow::health
