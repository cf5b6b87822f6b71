// SPDX-License-Identifier: Apache-2.0
// Every backend that the manifests name for a service's port, with why it is chosen or not: for whoever looks.  Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/compile/service_plan.h"

namespace cortexflow::compile {

struct BackendFact {
  Backend backend;
  std::string pod;     // empty: none is known
  std::string subset;  // of the policy; empty: of none
  std::string version;
  std::uint32_t weight = 1;
  bool weight_set = false;  // by the operator
  // "ready"; or why it is not chosen: "drained", "unhealthy", "ejected", "terminating", "not ready", "no weight",
  // "elsewhere" (the service wishes backends of this node, or near it).
  std::string state;
  std::string reason;  // in words, where there is more to say
};

// By address.
[[nodiscard]] std::vector<BackendFact> backend_facts(const ServiceInput& input, const ServicePlan& plan);

struct SubsetFact {
  std::string name;
  std::uint32_t weight = 0;
  std::uint32_t manifest_weight = 0;
  bool weight_set = false;  // by the operator
};

[[nodiscard]] std::vector<SubsetFact> subset_facts(const ServiceInput& input);

}  // namespace cortexflow::compile
