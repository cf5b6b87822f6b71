// SPDX-License-Identifier: Apache-2.0
// Which pods the mesh enrols when they are made, and what it writes on them: labels that policies and services can
// select by.  No container is added: the kernel of the node does what a sidecar would.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "identity/webhook/admission_review.h"

namespace cortexflow::identity {

inline constexpr const char* kMeshKey = "cortexflow.io/mesh";          // label or annotation: enabled, disabled
inline constexpr const char* kWorkloadKey = "cortexflow.io/workload";  // label: the name of what made the pod

// What a pod's own label and annotation kMeshKey say.
enum class MeshChoice : std::uint8_t { kUnsaid, kEnabled, kDisabled, kUnclear };
[[nodiscard]] MeshChoice mesh_choice(const nlohmann::json& pod);

struct Enrolment {
  std::string outcome;   // a word for metrics: "enrolled", or why the pod stays as it is
  nlohmann::json patch;  // RFC 6902; null where it stays as it is
};

// Enrols a pod that is being made, unless it is one of `system_namespaces`, on its node's network, a mirror of a static
// pod, or has said that it stays out.  Adds what is missing, and changes nothing that is there.
[[nodiscard]] Enrolment enrol(const AdmissionRequest& request, const std::set<std::string>& system_namespaces);

}  // namespace cortexflow::identity
