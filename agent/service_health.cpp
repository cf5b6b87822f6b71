// SPDX-License-Identifier: Apache-2.0
#include "agent/service_health.h"

#include <utility>

namespace cortexflow {

Result<ServiceHealth> ServiceHealth::open(std::size_t checks_in_flight) {
  auto checker = health::Checker::start(checks_in_flight);
  if (!checker) return tl::make_unexpected(std::move(checker.error()));
  return ServiceHealth(std::move(*checker));
}

void ServiceHealth::set(const model::ObjectName& service, const std::optional<model::HealthCheck>& check,
                        const std::vector<compile::BackendPort>& backends, const States& left) {
  if (!check && !targets_.contains(service) && !refused_.contains(service)) return;
  Targets wanted;
  for (const auto& backend : backends) {
    // A UDP port doesn't say whether it is there; whoever wants it checked names a TCP port that does.
    if (!check || (backend.protocol != model::Protocol::kTcp && check->port == 0)) continue;
    wanted.emplace(backend, health::Target{backend.address, check->port ? check->port : backend.port, *check});
  }
  const auto before = std::exchange(targets_[service], {});
  auto& now = targets_[service];
  refused_.erase(service);
  for (const auto& [backend, target] : wanted) {
    const auto had = before.find(backend);
    const bool same = had != before.end() && had->second == target;
    std::optional<health::TargetState> begins;
    if (had != before.end()) {
      begins = checker_->find(had->second);
    } else if (const auto known = left.find(backend); known != left.end()) {
      begins = known->second;
    }
    if (!same && !checker_->add(target, std::move(begins))) {
      refused_[service].insert(backend);
      continue;
    }
    now.emplace(backend, target);
    if (!same) services_[target].insert(service);
  }
  for (const auto& [backend, target] : before) {
    if (const auto still = now.find(backend); still != now.end() && still->second == target) continue;
    checker_->remove(target);
    const auto users = services_.find(target);
    users->second.erase(users->second.find(service));
    if (users->second.empty()) services_.erase(users);
  }
  if (now.empty()) targets_.erase(service);
}

std::set<model::ObjectName> ServiceHealth::take_changed() {
  std::set<model::ObjectName> changed;
  for (const auto& target : checker_->take_changes()) {
    const auto users = services_.find(target);
    if (users != services_.end()) changed.insert(users->second.begin(), users->second.end());
  }
  return changed;
}

ServiceHealth::States ServiceHealth::unhealthy(const model::ObjectName& service) const {
  States out;
  const auto found = targets_.find(service);
  if (found == targets_.end()) return out;
  for (const auto& [backend, target] : found->second) {
    auto state = checker_->find(target);
    if (state && state->health == health::Health::kUnhealthy) out[backend] = std::move(*state);
  }
  return out;
}

std::map<compile::BackendPort, std::string> ServiceHealth::reasons(const model::ObjectName& service) const {
  std::map<compile::BackendPort, std::string> out;
  for (const auto& [backend, state] : unhealthy(service)) out[backend] = state.last ? state.last->words : "";
  return out;
}

std::size_t ServiceHealth::refused() const {
  std::size_t sum = 0;
  for (const auto& [service, backends] : refused_) sum += backends.size();
  return sum;
}

void ServiceHealth::show(const Key& key, control::BackendRow& row) const {
  // Whatever else speaks against it says more than its checks.
  const bool ready = row.state == "ready";
  if (const auto refused = refused_.find(key.service);
      refused != refused_.end() && refused->second.contains(key.backend)) {
    if (!ready) return;
    row.state = "unchecked";
    row.reason = fmt::format("not checked: {} backends are already", health::kTargetsMax);
    return;
  }
  const auto targets = targets_.find(key.service);
  if (targets == targets_.end()) return;
  const auto target = targets->second.find(key.backend);
  if (target == targets->second.end()) return;
  const auto state = checker_->find(target->second);
  if (!state) return;
  const auto age = std::chrono::steady_clock::now() - state->since;
  row.since = std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
  const bool unhealthy = row.state == compile::avoided_name(compile::AvoidedBy::kCheck);
  if (!ready && !unhealthy) return;
  if (ready) row.state = state->health == health::Health::kUnknown ? "unchecked" : "healthy";
  row.reason = state->last ? state->last->words : "";
}

}  // namespace cortexflow
