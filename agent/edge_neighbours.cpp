// SPDX-License-Identifier: Apache-2.0
#include "agent/edge_neighbours.h"

#include <utility>

namespace cortexflow {
namespace {

// Less than the time for which the kernel takes an answer for granted (base_reachable_time, 30 s, or half of it).
constexpr std::chrono::seconds kRoundEvery{10};
// Each costs two exchanges with the kernel, some 10 us; the event loop goes round 50 times a second.
constexpr std::size_t kAtOnce = 128;

}  // namespace

void EdgeNeighbours::add(const model::IpAddress& backend) {
  if (all_.insert(backend).second) waiting_.push_front(backend);
}

void EdgeNeighbours::begin_round(std::set<model::IpAddress> all, Clock::time_point now) {
  all_ = std::move(all);
  waiting_.assign(all_.begin(), all_.end());
  asked_.clear();
  failure_ = std::exchange(failure_now_, {});
  next_round_ = now + kRoundEvery;
}

void EdgeNeighbours::poll() {
  for (std::size_t i = 0; i < kAtOnce && !waiting_.empty(); ++i) {
    ask(waiting_.front(), asked_);
    waiting_.pop_front();
  }
}

void EdgeNeighbours::ask(const std::vector<model::IpAddress>& missed) {
  std::set<NextHop> asked;
  for (std::size_t i = 0; i < missed.size() && i < kAtOnce; ++i) ask(missed[i], asked);
}

void EdgeNeighbours::ask(const model::IpAddress& address, std::set<NextHop>& asked) {
  const auto hop = next_hop_towards(address);
  if (!hop || !asked.insert(*hop).second) return;
  if (auto done = ask_for_neighbour(*hop); !done) failure_now_ = done.error().to_string();
}

}  // namespace cortexflow
