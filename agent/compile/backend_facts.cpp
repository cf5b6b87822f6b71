// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/backend_facts.h"

#include <algorithm>
#include <set>

#include "agent/compile/candidates.h"

namespace cortexflow::compile {
namespace {

void set_state(BackendFact& fact, const Candidate& candidate, const ServicePlan& plan, bool chosen) {
  const auto avoided = plan.avoided.find(fact.backend);
  if (avoided != plan.avoided.end()) {
    for (const auto& [by, words] : avoided->second) fact.reason += (fact.reason.empty() ? "" : "; ") + words;
  }
  const auto& endpoint = *candidate.endpoint;
  if (avoided != plan.avoided.end() && !avoided->second.empty()) {
    // The operator's word counts most: it holds in panic too.
    const bool drained = avoided->second.contains(AvoidedBy::kDrain);
    fact.state = avoided_name(drained ? AvoidedBy::kDrain : avoided->second.begin()->first);
  } else if (chosen) {
    fact.state = "ready";
  } else if (endpoint.terminating) {
    fact.state = "terminating";
  } else if (!endpoint.ready) {
    fact.state = "not ready";
  } else {
    fact.state = fact.weight == 0 ? "no weight" : "elsewhere";
  }
}

}  // namespace

std::vector<BackendFact> backend_facts(const ServiceInput& input, const ServicePlan& plan) {
  std::vector<BackendFact> out;
  const auto& ports = input.service->ports;
  const auto port = std::find_if(ports.begin(), ports.end(), [&](const auto& p) {
    return p.name == plan.port_name && p.protocol == plan.protocol;
  });
  if (port == ports.end() || plan.frontends.empty()) return out;
  std::set<Backend> chosen(plan.slots.begin(), plan.slots.end());
  for (const auto& [version, slots] : plan.by_version) chosen.insert(slots.begin(), slots.end());
  const auto subsets = subset_facts(input);
  const bool split = std::any_of(subsets.begin(), subsets.end(), [](const auto& s) { return s.weight > 0; });
  for (const auto& candidate : candidates_of(input, *port, plan.frontends.front().first.is_v4())) {
    BackendFact fact;
    fact.backend = candidate.backend;
    fact.weight = static_cast<std::uint32_t>(own_weight(candidate, input.policy));
    fact.weight_set = candidate.set_weight.has_value();
    fact.pod = candidate.endpoint->pod.name;
    if (candidate.pod) {
      const auto version = candidate.pod->labels.find("version");
      if (version != candidate.pod->labels.end()) fact.version = version->second;
    }
    std::uint32_t subset_weight = 0;
    if (input.policy) {
      const auto subset = subset_of(candidate, *input.policy);
      if (subset) {
        fact.subset = subsets[*subset].name;
        subset_weight = subsets[*subset].weight;
      }
    }
    set_state(fact, candidate, plan, chosen.contains(fact.backend));
    if (fact.state == "elsewhere" && split && subset_weight == 0) {
      fact.state = "no weight";
      fact.reason = fact.subset.empty() ? "it is of no subset" : "its subset has none";
    }
    out.push_back(std::move(fact));
  }
  return out;
}

std::vector<SubsetFact> subset_facts(const ServiceInput& input) {
  std::vector<SubsetFact> out;
  if (!input.policy) return out;
  for (const auto& subset : input.policy->subsets) {
    SubsetFact fact{subset.name, subset.weight, subset.weight, false};
    if (input.set) {
      const auto set = input.set->subset_weights.find(subset.name);
      fact.weight_set = set != input.set->subset_weights.end();
      if (fact.weight_set) fact.weight = set->second;
    }
    out.push_back(std::move(fact));
  }
  return out;
}

}  // namespace cortexflow::compile
