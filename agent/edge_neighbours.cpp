// SPDX-License-Identifier: Apache-2.0
#include "agent/edge_neighbours.h"

#include <utility>

namespace cortexflow {
namespace {

// Less than the time for which the kernel takes an answer for granted (base_reachable_time, 30 s, or half of it).
constexpr std::chrono::seconds kRoundEvery{10};
constexpr std::chrono::seconds kRoundIfMissedEvery{1};
// Each costs two exchanges with the kernel, some 10 us; the event loop goes round 50 times a second.
constexpr int kAtOnce = 128;

}  // namespace

void EdgeNeighbours::add(const model::IpAddress& backend) {
  if (all_.insert(backend).second) waiting_.push_front(backend);
}

bool EdgeNeighbours::is_due(Clock::time_point now, bool missed) const {
  return waiting_.empty() && now >= (missed ? next_if_missed_ : next_round_);
}

void EdgeNeighbours::begin_round(std::set<model::IpAddress> all, Clock::time_point now) {
  all_ = std::move(all);
  waiting_.assign(all_.begin(), all_.end());
  asked_.clear();
  failure_ = std::exchange(failure_now_, {});
  next_round_ = now + kRoundEvery;
  next_if_missed_ = now + kRoundIfMissedEvery;
}

void EdgeNeighbours::poll() {
  for (int i = 0; i < kAtOnce && !waiting_.empty(); ++i) {
    const auto hop = next_hop_towards(waiting_.front());
    waiting_.pop_front();
    if (!hop || !asked_.insert(*hop).second) continue;
    if (auto asked = ask_for_neighbour(*hop); !asked) failure_now_ = asked.error().to_string();
  }
}

}  // namespace cortexflow
