// SPDX-License-Identifier: Apache-2.0
// Which backends of a service real connections speak against: passive outlier ejection, as Envoy does it
// (outlier_detection), on counters of connections.  Pure: time and counters are passed in.
//
// A backend that is found ill is left out for a while, longer with each time in a row.  Then it is on probation: it
// gets one connection at a time, until one has gone well (it is back), or one has failed (it is out again).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "agent/model/service.h"
#include "agent/model/service_override.h"

namespace cortexflow::health {

// Since the kernel's entry of the backend was made.
struct ConnectionCounts {
  std::uint32_t entry = 0;  // another number: another entry, which began with 0
  std::uint64_t established = 0;
  std::uint64_t failed = 0;  // before that
  std::uint64_t ended = 0;   // well
  std::uint64_t broken = 0;  // established, then reset or unacknowledged
  std::uint32_t failures_in_row = 0;
  std::uint32_t breaks_in_row = 0;
  bool operator==(const ConnectionCounts&) const = default;
};

struct OutlierVerdict {
  std::map<model::BackendAddress, std::string> ejected;  // why and since how many times, in words
  std::set<model::BackendAddress> probation;
  bool operator==(const OutlierVerdict&) const = default;
};

enum class OutlierState : std::uint8_t { kIn, kEjected, kProbation };

// What outlasts the agent of a backend that was ejected, not long ago.
struct OutlierMemory {
  OutlierState state = OutlierState::kIn;
  std::uint32_t in_row = 0;                       // ejections
  std::chrono::steady_clock::time_point until{};  // kEjected
  std::string reason;
  ConnectionCounts base;  // kProbation: where it began; rows are not kept
  bool operator==(const OutlierMemory&) const = default;
};

struct OutlierFigures {
  std::uint64_t ejections = 0;
  std::uint64_t spared = 0;  // would have been ejected, but maxEjectionPercent are
};

// Of one service port.
class OutlierDetector {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Counts = std::map<model::BackendAddress, ConnectionCounts>;

  // `all`: the service's backends, ejected ones too; `counts`: of those that the kernel has an entry of now.
  const OutlierVerdict& observe(Time now, const model::OutlierDetection& policy,
                                const std::set<model::BackendAddress>& all, const Counts& counts);

  using Memories = std::map<model::BackendAddress, OutlierMemory>;
  [[nodiscard]] Memories memories() const;
  // As an agent before left it; to be called on a fresh one.
  void adopt(const Memories& memories);

  [[nodiscard]] const OutlierVerdict& verdict() const { return verdict_; }
  [[nodiscard]] const OutlierFigures& figures() const { return figures_; }

 private:
  using State = OutlierState;
  struct Backend {
    State state = State::kIn;
    std::uint32_t in_row = 0;  // ejections
    Time until{};              // kEjected
    std::string reason;
    ConnectionCounts base;            // where the interval, or the probation, began
    Time began{};                     // the interval
    Time went_well{};                 // kProbation: when a connection was first seen to stand
    std::uint32_t failures_seen = 0;  // rows that were judged already
    std::uint32_t breaks_seen = 0;
    bool known = false;
  };

  void start_interval(Backend& backend, Time now, const ConnectionCounts& counts) const;
  [[nodiscard]] std::string complaint(Backend& backend, Time now, const model::OutlierDetection& policy,
                                      const ConnectionCounts& counts) const;
  void eject(Backend& backend, Time now, const model::OutlierDetection& policy, const ConnectionCounts& counts,
             std::string reason);
  void probe(Backend& backend, Time now, const model::OutlierDetection& policy, const ConnectionCounts& counts);
  void judge();
  [[nodiscard]] bool may_eject(const model::OutlierDetection& policy) const;

  std::map<model::BackendAddress, Backend> backends_;
  OutlierVerdict verdict_;
  OutlierFigures figures_;
};

}  // namespace cortexflow::health
