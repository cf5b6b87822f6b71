// SPDX-License-Identifier: Apache-2.0
// The link addresses on the edge's ways.  XDP sends only where the neighbour table has one, and what it leaves to the
// stack mostly bears an address of this node as its source, which the stack takes for a martian and doesn't ask for
// anybody.  So they are asked for here: to backends when they come, and again and again, so that they are neither
// dropped for lack of use (the stack doesn't see what XDP sends) nor outdated; to all others when a packet found none.
#pragma once

#include <chrono>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "agent/model/ip_address.h"
#include "agent/netlink_lookup.h"

namespace cortexflow {

class EdgeNeighbours {
 public:
  using Clock = std::chrono::steady_clock;

  // Asked with the next poll(), unless it is among those of the latest round.
  void add(const model::IpAddress& backend);
  // True when all are to be asked again.
  [[nodiscard]] bool is_due(Clock::time_point now) const { return waiting_.empty() && now >= next_round_; }
  void begin_round(std::set<model::IpAddress> all, Clock::time_point now);
  // At once, for packets that found none; a bounded number, the others' next packets come again.
  void ask(const std::vector<model::IpAddress>& missed);
  // A bounded number of those that are waiting.
  void poll();
  // Why some can't be asked; empty: all can.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  void ask(const model::IpAddress& address, std::set<NextHop>& asked);

  std::set<model::IpAddress> all_;
  std::deque<model::IpAddress> waiting_;
  std::set<NextHop> asked_;  // in this round: many backends may be behind one router
  Clock::time_point next_round_{};
  std::string failure_, failure_now_;  // of the round before; of this one
};

}  // namespace cortexflow
