// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/candidates.h"

#include <algorithm>
#include <numeric>

namespace cortexflow::compile {
namespace {

bool has_labels(const model::Pod& pod, const model::Labels& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
    const auto found = pod.labels.find(label.first);
    return found != pod.labels.end() && found->second == label.second;
  });
}

}  // namespace

std::vector<Candidate> candidates_of(const ServiceInput& input, const model::ServicePort& port, bool v4) {
  std::vector<Candidate> found;
  for (const auto* slice : input.slices) {
    for (const auto& slice_port : slice->ports) {
      if (slice_port.name != port.name || slice_port.protocol != port.protocol) continue;
      for (const auto& endpoint : slice->endpoints) {
        if (endpoint.address.is_v4() != v4) continue;
        const auto pod = input.pods.find(endpoint.pod);
        Candidate candidate{
            {endpoint.address, slice_port.port}, &endpoint, pod == input.pods.end() ? nullptr : pod->second, {}};
        if (input.set) {
          const auto weight = input.set->backend_weights.find(candidate.backend);
          if (weight != input.set->backend_weights.end()) candidate.set_weight = weight->second;
        }
        found.push_back(candidate);
      }
    }
  }
  // An endpoint may be in two slices for a moment (discovery/v1); the one that is ready counts.
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.backend, !a.endpoint->ready) < std::pair(b.backend, !b.endpoint->ready);
  });
  found.erase(
      std::unique(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.backend == b.backend; }),
      found.end());
  return found;
}

bool is_local(const Candidate& candidate, const NodeContext& node) {
  return candidate.endpoint->node == node.name ||
         std::find(node.addresses.begin(), node.addresses.end(), candidate.backend.address) != node.addresses.end();
}

bool takes_new(const model::Service& service, const model::Endpoint& endpoint) {
  return (endpoint.ready || service.publish_not_ready) && !endpoint.terminating;
}

std::uint64_t own_weight(const Candidate& candidate, const model::TrafficPolicy* policy) {
  if (candidate.set_weight) return *candidate.set_weight;
  return policy && policy->algorithm == model::Algorithm::kWeighted && candidate.pod ? candidate.pod->weight : 1;
}

std::optional<std::size_t> subset_of(const Candidate& candidate, const model::TrafficPolicy& policy) {
  for (std::size_t i = 0; i < policy.subsets.size(); ++i) {
    const auto& labels = policy.subsets[i].labels;
    if (labels.empty() || (candidate.pod && has_labels(*candidate.pod, labels))) return i;
  }
  return std::nullopt;
}

bool splits(const model::TrafficPolicy* policy) {
  return policy && std::any_of(policy->subsets.begin(), policy->subsets.end(),
                               [](const auto& subset) { return subset.weight > 0; });
}

std::vector<std::uint64_t> shares_of(const std::vector<Candidate>& candidates, const model::TrafficPolicy* policy) {
  std::vector<std::uint64_t> shares;
  shares.reserve(candidates.size());
  for (const auto& candidate : candidates) shares.push_back(own_weight(candidate, policy));
  if (!splits(policy)) return shares;
  std::vector<std::uint64_t> sums(policy->subsets.size(), 0);
  std::vector<std::optional<std::size_t>> subsets;
  subsets.reserve(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    subsets.push_back(subset_of(candidates[i], *policy));
    if (subsets[i]) sums[*subsets[i]] += shares[i];
  }
  std::uint64_t common = 1;
  for (const auto sum : sums) common = std::lcm(common, std::max<std::uint64_t>(sum, 1));
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto s = subsets[i];
    shares[i] = s ? shares[i] * policy->subsets[*s].weight * (common / std::max<std::uint64_t>(sums[*s], 1)) : 0;
  }
  return shares;
}

model::TrafficPolicy with_weights(model::TrafficPolicy policy, const model::ServiceOverride& set) {
  for (auto& subset : policy.subsets) {
    const auto weight = set.subset_weights.find(subset.name);
    if (weight != set.subset_weights.end()) subset.weight = weight->second;
  }
  return policy;
}

}  // namespace cortexflow::compile
