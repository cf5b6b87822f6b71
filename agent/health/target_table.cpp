// SPDX-License-Identifier: Apache-2.0
#include "agent/health/target_table.h"

namespace cortexflow::health {

bool TargetTable::add(const Target& target, Time now, std::optional<TargetState> begins) {
  if (const auto found = entries_.find(target); found != entries_.end()) {
    ++found->second.services;
    return true;
  }
  if (entries_.size() >= max_) return false;
  Entry entry;
  entry.state.since = now;
  if (begins) entry.state = std::move(*begins);
  // Somewhere within the first interval: targets that come together, and nodes that start together, don't ask together.
  const auto interval = std::chrono::duration_cast<Time::duration>(target.check.interval);
  entry.due = now + Time::duration(std::uniform_int_distribution<Time::rep>(0, interval.count() - 1)(random_));
  count(entry.state.health, 1);
  const auto at = entries_.emplace(target, std::move(entry)).first;
  due_.emplace(at->second.due, &at->first);
  return true;
}

void TargetTable::remove(const Target& target) {
  const auto found = entries_.find(target);
  if (found == entries_.end() || --found->second.services > 0) return;
  if (!found->second.in_flight) due_.erase({found->second.due, &found->first});
  count(found->second.state.health, -1);
  entries_.erase(found);
}

std::optional<std::pair<Target, Time>> TargetTable::take_due(Time now) {
  if (due_.empty() || due_.begin()->first > now) return std::nullopt;
  const auto [due, target] = *due_.begin();
  due_.erase(due_.begin());
  entries_.find(*target)->second.in_flight = true;
  return std::pair(*target, due);
}

std::optional<Time> TargetTable::next_due() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

bool TargetTable::note(const Target& target, Outcome outcome, Time now) {
  const auto found = entries_.find(target);
  if (found == entries_.end() || !found->second.in_flight) return false;
  Entry& entry = found->second;
  entry.in_flight = false;
  // An interval after it was due, so that being late doesn't add up; of what was missed, nothing is made up for.
  const auto interval = std::chrono::duration_cast<Time::duration>(target.check.interval);
  if (entry.due <= now) entry.due += ((now - entry.due) / interval + 1) * interval;
  due_.emplace(entry.due, &found->first);

  const auto result = outcome.result;
  entry.state.last = std::move(outcome);
  if (result == CheckResult::kNotAsked) return false;
  const bool good = result == CheckResult::kHealthy;
  const bool unhealthy = entry.state.health == Health::kUnhealthy;
  if (good != unhealthy) {  // as it counts already
    entry.contrary = 0;
    if (entry.state.health == Health::kUnknown) become(entry, Health::kHealthy, now);
    return false;
  }
  if (++entry.contrary < (good ? target.check.healthy_threshold : target.check.unhealthy_threshold)) return false;
  entry.contrary = 0;
  become(entry, good ? Health::kHealthy : Health::kUnhealthy, now);
  return true;
}

std::optional<TargetState> TargetTable::find(const Target& target) const {
  const auto found = entries_.find(target);
  return found == entries_.end() ? std::nullopt : std::optional(found->second.state);
}

void TargetTable::become(Entry& entry, Health health, Time now) {
  count(entry.state.health, -1);
  count(health, 1);
  entry.state.health = health;
  entry.state.since = now;
}

void TargetTable::count(Health health, int change) {
  if (health == Health::kUnhealthy) unhealthy_ += static_cast<std::size_t>(change);
  if (health == Health::kUnknown) unknown_ += static_cast<std::size_t>(change);
}

}  // namespace cortexflow::health
