// SPDX-License-Identifier: Apache-2.0
// A service's backends before anything is left out, each with what its share follows from.  Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/compile/service_plan.h"

namespace cortexflow::compile {

struct Candidate {
  Backend backend;
  const model::Endpoint* endpoint = nullptr;
  const model::Pod* pod = nullptr;
  std::optional<std::uint32_t> set_weight;  // by the operator
};

// Endpoints of that port and family, each backend once, in the order of their addresses.
[[nodiscard]] std::vector<Candidate> candidates_of(const ServiceInput& input, const model::ServicePort& port, bool v4);

// Of a pod, or of a socket of the node's own, whoever wrote the endpoint down.
[[nodiscard]] bool is_local(const Candidate& candidate, const NodeContext& node);

// Whether new connections are for it; where none does, they are for those that end but still serve (KEP-1669).
[[nodiscard]] bool takes_new(const model::Service& service, const model::Endpoint& endpoint);

// Its share among those of its subset, or of the service where there are no weighted subsets.
[[nodiscard]] std::uint64_t own_weight(const Candidate& candidate, const model::TrafficPolicy* policy);

// Of the policy's subsets, the first whose labels the candidate's pod has.
[[nodiscard]] std::optional<std::size_t> subset_of(const Candidate& candidate, const model::TrafficPolicy& policy);

// The subsets' weights count.
[[nodiscard]] bool splits(const model::TrafficPolicy* policy);

// The policy with the weights that the operator gave its subsets.
[[nodiscard]] model::TrafficPolicy with_weights(model::TrafficPolicy policy, const model::ServiceOverride& set);

// Each candidate's share.  With weighted subsets, a subset's weight is divided among its endpoints by their own; an
// endpoint of no subset, or of one without weight, gets none; a subset without endpoints leaves its share to the
// others.
[[nodiscard]] std::vector<std::uint64_t> shares_of(const std::vector<Candidate>& candidates,
                                                   const model::TrafficPolicy* policy);

}  // namespace cortexflow::compile
