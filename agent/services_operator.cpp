// SPDX-License-Identifier: Apache-2.0
// What operators ask of services.
#include <algorithm>

#include "agent/model/address_port.h"
#include "agent/operator_request.h"
#include "agent/service_explain.h"
#include "agent/services.h"

namespace cortexflow {
namespace {

constexpr std::size_t kBackendsJudged = 16;

// What authorization on this node would say to the caller, at each backend that it may get.
void explain_policy(const Policies& policies, const FoundCaller& caller, control::ExplainedPath& path) {
  if (!caller.pod && caller.addresses.empty()) {
    if (policies.function().hook.empty()) return;
    path.steps.push_back({"policy",
                          "not looked at: the addresses that this caller sends from are not known; ask for "
                          "NAMESPACE/POD, or an address",
                          ""});
    return;
  }
  const auto from = caller.pod ? caller.pod->name.ns + "/" + caller.pod->name.name : caller.addresses[0].to_string();
  std::vector<std::string> targets;
  targets.reserve(path.backends.size() + 1);
  for (const auto& backend : path.backends) targets.push_back(backend.address);
  if (path.verdict == "direct") targets.push_back(path.address);
  for (std::size_t i = 0; i < std::min(targets.size(), kBackendsJudged); ++i) {
    const auto target = model::parse_address_port(targets[i]);
    if (!target || !target->port) continue;
    const auto checked =
        policies.check({from, target->address.to_string(), target->port.value_or(0), path.protocol == "UDP"});
    if (!checked) continue;
    const auto& decisive = checked->decisive();
    if (decisive.verdict == "unselected") continue;
    path.steps.push_back({"policy",
                          fmt::format("{}: {}{} ({}{}{})", targets[i], decisive.refused ? "refused" : "passes",
                                      decisive.direction == "out" ? " on the way out" : "", decisive.verdict,
                                      decisive.rules.empty() ? "" : " by ", fmt::join(decisive.rules, " and ")),
                          "policy_rules"});
  }
}

}  // namespace

std::pair<std::shared_ptr<const state::Snapshot>, CallersPlace> Services::known_place() const {
  const std::lock_guard lock(mutex_);
  return {desired_.snapshot(), {cgroup_root_, node_.addresses}};
}

control::Answer<std::vector<control::SimulatedPort>> Services::simulate(const control::SimulationQuery& query) const {
  const auto name = object_name(query.service);
  if (!name) return refused(400, name.error());
  const auto [snapshot, place] = known_place();
  if (!snapshot->services.find(*name)) {
    return refused(404, {fmt::format("there is no service {}", query.service), "see cfcli service list"});
  }
  FoundCaller from;
  if (!query.from.empty()) {
    auto found = find_caller(query.from, *snapshot, place);
    if (!found) return refused(404, std::move(found.error()));
    from = std::move(*found);
  }
  const std::lock_guard lock(mutex_);
  return simulate_service({*snapshot, book_, *tables_, redirect_.get(), cgroup_root_}, *name,
                          query.from.empty() ? nullptr : &from, query.version, query.callers);
}

control::Answer<control::Explanation> Services::explain(const std::string& caller, const std::string& target) const {
  const auto [snapshot, place] = known_place();
  const auto found = find_caller(caller, *snapshot, place);
  if (!found) return refused(404, found.error());
  const std::lock_guard lock(mutex_);
  auto explained = cortexflow::explain({*snapshot, book_, *tables_, redirect_.get(), cgroup_root_}, *found, target);
  if (!explained) return refused(400, std::move(explained.error()));
  for (auto& path : explained->paths) explain_policy(policies_, *found, path);
  return std::move(*explained);
}

}  // namespace cortexflow
