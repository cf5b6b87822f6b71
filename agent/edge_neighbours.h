// SPDX-License-Identifier: Apache-2.0
// The link addresses on the ways to the edge's backends.  XDP sends only where the neighbour table has one, and what it
// leaves to the stack bears this node's own address as its source, which the stack takes for a martian and doesn't ask
// for anybody.  So they are asked for here: when a backend comes, and again and again, so that they are neither dropped
// for lack of use (the stack doesn't see what XDP sends) nor outdated.
#pragma once

#include <chrono>
#include <deque>
#include <set>
#include <string>

#include "agent/model/ip_address.h"
#include "agent/netlink_lookup.h"

namespace cortexflow {

class EdgeNeighbours {
 public:
  using Clock = std::chrono::steady_clock;

  // Asked with the next poll(), unless it is among those of the latest round.
  void add(const model::IpAddress& backend);
  // True when all are to be asked again; `missed`: a packet has found no link address since it was said last.
  [[nodiscard]] bool is_due(Clock::time_point now, bool missed) const;
  void begin_round(std::set<model::IpAddress> all, Clock::time_point now);
  // A bounded number of those that are waiting.
  void poll();
  // Why some can't be asked; empty: all can.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  std::set<model::IpAddress> all_;
  std::deque<model::IpAddress> waiting_;
  std::set<NextHop> asked_;  // in this round: many backends may be behind one router
  Clock::time_point next_round_{}, next_if_missed_{};
  std::string failure_, failure_now_;  // of the round before; of this one
};

}  // namespace cortexflow
