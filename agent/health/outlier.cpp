// SPDX-License-Identifier: Apache-2.0
#include "agent/health/outlier.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortexflow::health {
namespace {

// A connection of a probation that stands so long counts as gone well, though it has not ended.
constexpr std::chrono::seconds kStands{1};

ConnectionCounts since(const ConnectionCounts& base, const ConnectionCounts& now) {
  if (base.entry != now.entry) return now;
  ConnectionCounts out = now;
  out.established -= base.established;
  out.failed -= base.failed;
  out.ended -= base.ended;
  out.broken -= base.broken;
  return out;
}

// What of a row is new since it was last judged.
std::uint32_t fresh(std::uint32_t row, std::uint32_t& seen) {
  seen = std::min(seen, row);
  return row - seen;
}

}  // namespace

void OutlierDetector::start_interval(Backend& backend, Time now, const ConnectionCounts& counts) const {
  backend.began = now;
  backend.base = counts;
}

std::string OutlierDetector::complaint(Backend& backend, Time now, const model::OutlierDetection& policy,
                                       const ConnectionCounts& counts) const {
  if (backend.base.entry != counts.entry) {
    backend.failures_seen = backend.breaks_seen = 0;
    start_interval(backend, now, ConnectionCounts{.entry = counts.entry});
  }
  const auto failures = fresh(counts.failures_in_row, backend.failures_seen);
  const auto breaks = fresh(counts.breaks_in_row, backend.breaks_seen);
  if (const auto most = policy.consecutive_failures; most != 0) {
    if (failures >= most) return fmt::format("{} connects failed in a row", failures);
    if (breaks >= most) return fmt::format("{} connections broke in a row", breaks);
  }
  if (now - backend.began < policy.interval) return {};
  const auto seen = since(backend.base, counts);
  start_interval(backend, now, counts);
  const auto bad = seen.failed + seen.broken;
  const auto volume = std::max(seen.established + seen.failed, bad);
  if (policy.failure_percentage_threshold != 0 && volume >= policy.failure_percentage_volume &&
      bad * 100 >= volume * policy.failure_percentage_threshold) {
    return fmt::format("{} of {} connections failed", bad, volume);
  }
  if (backend.in_row > 0) --backend.in_row;
  return {};
}

void OutlierDetector::eject(Backend& backend, Time now, const model::OutlierDetection& policy,
                            const ConnectionCounts& counts, std::string reason) {
  ++backend.in_row;
  ++figures_.ejections;
  // No product that could overflow: the longest time ends the growth.
  const auto times = std::min<std::int64_t>(backend.in_row, policy.max_ejection_time / policy.base_ejection_time + 1);
  backend.state = State::kEjected;
  backend.until = now + std::min(policy.base_ejection_time * times, policy.max_ejection_time);
  backend.reason =
      backend.in_row == 1 ? std::move(reason) : fmt::format("{}, ejection {} in a row", reason, backend.in_row);
  backend.failures_seen = counts.failures_in_row;
  backend.breaks_seen = counts.breaks_in_row;
}

void OutlierDetector::probe(Backend& backend, Time now, const model::OutlierDetection& policy,
                            const ConnectionCounts& counts) {
  const auto seen = since(backend.base, counts);
  if (seen.failed + seen.broken > 0) {
    eject(backend, now, policy, counts, "its probe failed");
    return;
  }
  if (seen.established == 0) return;
  if (backend.went_well == Time{}) backend.went_well = now;
  if (seen.ended == 0 && now - backend.went_well < kStands) return;
  backend.state = State::kIn;
  backend.failures_seen = counts.failures_in_row;
  backend.breaks_seen = counts.breaks_in_row;
  start_interval(backend, now, counts);
}

bool OutlierDetector::may_eject(const model::OutlierDetection& policy) const {
  const auto out = std::count_if(backends_.begin(), backends_.end(),
                                 [](const auto& entry) { return entry.second.state != State::kIn; });
  return static_cast<std::uint64_t>(out) * 100 < backends_.size() * std::uint64_t{policy.max_ejection_percent};
}

const OutlierVerdict& OutlierDetector::observe(Time now, const model::OutlierDetection& policy,
                                               const std::set<model::BackendAddress>& all, const Counts& counts) {
  std::erase_if(backends_, [&](const auto& entry) { return !all.contains(entry.first); });
  for (const auto& address : all) backends_[address];
  for (auto& [address, backend] : backends_) {
    const auto found = counts.find(address);
    if (backend.state == State::kEjected && now >= backend.until) {
      backend.state = State::kProbation;
      backend.base = found == counts.end() ? ConnectionCounts{} : found->second;
      backend.went_well = {};
    }
    if (found == counts.end()) continue;
    if (!backend.known) {
      backend.known = true;
      start_interval(backend, now, found->second);
    }
    if (backend.state == State::kProbation) {
      probe(backend, now, policy, found->second);
    } else if (backend.state == State::kIn) {
      auto reason = complaint(backend, now, policy, found->second);
      if (reason.empty()) continue;
      if (may_eject(policy)) {
        eject(backend, now, policy, found->second, std::move(reason));
      } else {
        ++figures_.spared;
        backend.failures_seen = found->second.failures_in_row;
        backend.breaks_seen = found->second.breaks_in_row;
      }
    }
  }
  judge();
  return verdict_;
}

void OutlierDetector::judge() {
  verdict_ = {};
  for (const auto& [address, backend] : backends_) {
    if (backend.state == State::kEjected) verdict_.ejected[address] = backend.reason;
    if (backend.state == State::kProbation) verdict_.probation.insert(address);
  }
}

OutlierDetector::Memories OutlierDetector::memories() const {
  Memories out;
  for (const auto& [address, backend] : backends_) {
    if (backend.state == State::kIn && backend.in_row == 0) continue;
    auto& memory = out[address];
    memory.state = backend.state;
    memory.in_row = backend.in_row;
    if (backend.state == State::kEjected) {
      memory.until = backend.until;
      memory.reason = backend.reason;
    } else if (backend.state == State::kProbation) {
      memory.base = backend.base;
      memory.base.failures_in_row = memory.base.breaks_in_row = 0;
    }
  }
  return out;
}

void OutlierDetector::adopt(const Memories& memories) {
  for (const auto& [address, memory] : memories) {
    auto& backend = backends_[address];
    backend.state = memory.state;
    backend.in_row = memory.in_row;
    backend.until = memory.until;
    backend.reason = memory.reason;
    backend.base = memory.base;
    backend.known = memory.state == State::kProbation;  // else its first interval begins with the first observation
  }
  judge();
}

}  // namespace cortexflow::health
