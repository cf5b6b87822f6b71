// SPDX-License-Identifier: Apache-2.0
// What is listed and watched, and how each object comes into the form that the manifests' readers take.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/model/object.h"

namespace cortexflow::source {

// One version of a kind, as a server may have it.
struct ResourceVersion {
  std::string path;         // "/apis/discovery.k8s.io/v1/endpointslices"
  std::string api_version;  // "discovery.k8s.io/v1"
  std::string kind;         // "EndpointSlice"
};

struct Resource {
  model::Kind kind{};
  std::vector<ResourceVersion> versions;  // newest first; the first that the server has is used
  bool may_be_missing = false;            // a kind of ours, that is installed by its CRD
};

[[nodiscard]] const std::vector<Resource>& resources();

// Leaves out what no reader looks at, gives what lists leave out (kind, apiVersion), and brings older versions of
// EndpointSlices, and Endpoints, into the form of discovery.k8s.io/v1.  `object` has to be an object.
// An Endpoints object becomes one List of slices.
void normalize(nlohmann::json& object, const Resource& resource, const ResourceVersion& version);

// A normalized pod's containers, unless it is on this node.
void drop_containers_of_others(nlohmann::json& pod, const std::string& node);

}  // namespace cortexflow::source
