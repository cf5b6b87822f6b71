// SPDX-License-Identifier: Apache-2.0
// Asks all targets in turn, on a thread of its own that never waits for one of them.
//
// At most `max_in_flight` are asked at a time; what is due beyond that waits its turn, longest due first, and is
// counted as late.  Connections are made from this process's network namespace, and to backends' addresses as they are:
// the kernel translates them only where such an address is a service's at the same time.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/health/probe.h"
#include "agent/health/target_table.h"

namespace cortexflow::health {

inline constexpr std::size_t kInFlightDefault = 256;

struct Figures {
  std::array<std::uint64_t, kResults> results{};
  std::uint64_t late = 0;  // checks that began over a second after they were due
  std::size_t in_flight = 0, in_flight_max = 0;
  std::size_t targets = 0, targets_max = kTargetsMax, unhealthy = 0, unknown = 0;
};

class Checker {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Checker>> start(std::size_t max_in_flight);
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  // As of TargetTable.
  [[nodiscard]] bool add(const Target& target, std::optional<TargetState> begins = {});
  void remove(const Target& target);
  [[nodiscard]] std::optional<TargetState> find(const Target& target) const;

  // Readable while there are changes: targets that have become unhealthy, or healthy after that, since the last call.
  [[nodiscard]] int fd() const { return changed_.get(); }
  [[nodiscard]] std::set<Target> take_changes();

  [[nodiscard]] Figures figures() const;

 private:
  struct Flight {
    Probe probe;
    Time deadline;
  };
  using Flights = std::map<int, Flight>;  // by the socket's fd

  Checker(std::size_t max_in_flight, Fd epoll, Fd changed, Fd wake);

  void run();
  void begin_due(Time now);
  void end_overdue(Time now);
  void go_on(int fd, Time now);
  void end(Flights::iterator flight, Outcome outcome, Time now);
  void note(const Target& target, Outcome outcome, Time now);
  [[nodiscard]] int wait_ms(Time now) const;

  const std::size_t max_in_flight_;
  Fd epoll_, changed_, wake_;

  mutable std::mutex mutex_;
  TargetTable table_;
  std::set<Target> changes_;

  std::array<std::atomic<std::uint64_t>, kResults> results_{};
  std::atomic<std::uint64_t> late_ = 0;
  std::atomic<std::size_t> in_flight_ = 0;
  std::atomic<bool> stopping_ = false;

  // The thread's alone.
  Flights flights_;
  std::set<std::pair<Time, int>> deadlines_;
  std::thread thread_;
};

}  // namespace cortexflow::health
