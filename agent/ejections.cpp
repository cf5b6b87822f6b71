// SPDX-License-Identifier: Apache-2.0
#include "agent/ejections.h"

#include "agent/compile/connection_results.h"

namespace cortexflow {
namespace {

health::OutlierDetector::Counts counts_of(const compile::Entry& entry, const kernel::ServiceTables& tables) {
  health::OutlierDetector::Counts out;
  for (const auto& [backend, number] : entry.image.backends) {
    const auto load = tables.value<cf_backend_load>("svc_load_be", number);
    out[backend] = {.entry = number,
                    .established = load.results[CF_SVC_R_ESTABLISHED],
                    .failed = compile::failed_connects(load),
                    .ended = load.results[CF_SVC_R_ENDED],
                    .broken = compile::broken_connections(load),
                    .failures_in_row = load.failures_in_row,
                    .breaks_in_row = load.breaks_in_row};
  }
  return out;
}

// Those in the kernel's tables, and those that are left out of them now.
std::set<model::BackendAddress> all_of(const compile::Entry& entry) {
  std::set<model::BackendAddress> out;
  for (const auto& [backend, number] : entry.image.backends) out.insert(backend);
  for (const auto& [backend, reasons] : entry.plan.avoided) out.insert(backend);
  return out;
}

}  // namespace

void Ejections::set_policy(const model::ObjectName& service, const std::optional<model::OutlierDetection>& policy) {
  if (policy) {
    services_[service].policy = *policy;
  } else if (const auto found = services_.find(service); found != services_.end()) {
    for (const auto& [key, detector] : found->second.ports) retire(service, detector);
    services_.erase(found);
  }
}

void Ejections::forget(const model::ObjectName& service) {
  services_.erase(service);
  retired_.erase(service);
}

void Ejections::retire(const model::ObjectName& service, const health::OutlierDetector& detector) {
  const auto& figures = detector.figures();
  if (figures.ejections == 0 && figures.spared == 0) return;
  auto& sum = retired_[service];
  sum.ejections += figures.ejections;
  sum.spared += figures.spared;
}

void Ejections::adopt(const compile::PortKey& port, const health::OutlierDetector::Memories& memories) {
  const auto service = services_.find(port.service);
  if (service != services_.end()) service->second.ports[port].adopt(memories);
}

std::map<compile::PortKey, health::OutlierDetector::Memories> Ejections::memories(
    const model::ObjectName& service) const {
  std::map<compile::PortKey, health::OutlierDetector::Memories> out;
  const auto found = services_.find(service);
  if (found == services_.end()) return out;
  for (const auto& [key, detector] : found->second.ports) {
    if (auto memories = detector.memories(); !memories.empty()) out[key] = std::move(memories);
  }
  return out;
}

Ejections::Changes Ejections::look(Time now, const compile::ServiceBook& book, const kernel::ServiceTables& tables) {
  Changes changed;
  for (auto& [name, service] : services_) {
    std::set<compile::PortKey> there;
    const auto& entries = book.entries();
    for (auto it = entries.lower_bound(compile::first_port(name)); it != entries.end() && it->first.service == name;
         ++it) {
      if (it->first.protocol != model::Protocol::kTcp) continue;
      there.insert(it->first);
      auto& detector = service.ports[it->first];
      const auto verdict = detector.verdict();
      const auto memories = detector.memories();
      if (detector.observe(now, service.policy, all_of(it->second), counts_of(it->second, tables)) != verdict) {
        changed.verdicts.insert(name);
      }
      if (detector.memories() != memories) changed.memories.insert(name);
    }
    std::erase_if(service.ports, [&, &of = name](const auto& port) {
      if (there.contains(port.first)) return false;
      retire(of, port.second);
      return true;
    });
  }
  return changed;
}

std::map<compile::BackendPort, std::string> Ejections::ejected(const model::ObjectName& service) const {
  std::map<compile::BackendPort, std::string> out;
  const auto found = services_.find(service);
  if (found == services_.end()) return out;
  for (const auto& [key, detector] : found->second.ports) {
    for (const auto& [backend, reason] : detector.verdict().ejected) {
      out[{backend.address, backend.port, key.protocol}] = reason;
    }
  }
  return out;
}

std::set<compile::BackendPort> Ejections::probation(const model::ObjectName& service) const {
  std::set<compile::BackendPort> out;
  const auto found = services_.find(service);
  if (found == services_.end()) return out;
  for (const auto& [key, detector] : found->second.ports) {
    for (const auto& backend : detector.verdict().probation) out.insert({backend.address, backend.port, key.protocol});
  }
  return out;
}

health::OutlierFigures Ejections::figures(const model::ObjectName& service) const {
  const auto retired = retired_.find(service);
  auto out = retired == retired_.end() ? health::OutlierFigures{} : retired->second;
  const auto found = services_.find(service);
  if (found == services_.end()) return out;
  for (const auto& [key, detector] : found->second.ports) {
    out.ejections += detector.figures().ejections;
    out.spared += detector.figures().spared;
  }
  return out;
}

}  // namespace cortexflow
