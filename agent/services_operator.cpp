// SPDX-License-Identifier: Apache-2.0
// What operators ask of services.
#include "agent/operator_request.h"
#include "agent/service_explain.h"
#include "agent/services.h"

namespace cortexflow {
control::Answer<std::vector<control::SimulatedPort>> Services::simulate(const control::SimulationQuery& query) const {
  const auto name = object_name(query.service);
  if (!name) return refused(400, name.error());
  const auto snapshot = [this] {
    const std::lock_guard lock(mutex_);
    return desired_.snapshot();
  }();
  if (!snapshot->services.find(*name)) {
    return refused(404, {fmt::format("there is no service {}", query.service), "see cfcli service list"});
  }
  FoundCaller from;
  if (!query.from.empty()) {
    auto found = find_caller(query.from, *snapshot, cgroup_root_);
    if (!found) return refused(404, std::move(found.error()));
    from = std::move(*found);
  }
  const std::lock_guard lock(mutex_);
  return simulate_service({*snapshot, book_, *tables_, redirect_.get(), cgroup_root_}, *name,
                          query.from.empty() ? nullptr : &from, query.version, query.callers);
}

control::Answer<control::Explanation> Services::explain(const std::string& caller, const std::string& target) const {
  const auto snapshot = [this] {
    const std::lock_guard lock(mutex_);
    return desired_.snapshot();
  }();
  const auto found = find_caller(caller, *snapshot, cgroup_root_);
  if (!found) return refused(404, found.error());
  const std::lock_guard lock(mutex_);
  auto explained = cortexflow::explain({*snapshot, book_, *tables_, redirect_.get(), cgroup_root_}, *found, target);
  if (!explained) return refused(400, std::move(explained.error()));
  return std::move(*explained);
}

}  // namespace cortexflow
