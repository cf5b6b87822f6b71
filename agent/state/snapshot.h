// SPDX-License-Identifier: Apache-2.0
// The desired state at one moment.  Immutable; any thread may read it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/model/authorization_policy.h"
#include "agent/model/deny_list.h"
#include "agent/model/network_policy.h"
#include "agent/model/service.h"
#include "agent/state/persistent_map.h"

namespace cortexflow::state {

// What belongs to the service of that name, which need not exist.  Sorted by name.
struct ServiceParts {
  model::ObjectName name;
  std::vector<std::shared_ptr<const model::EndpointSlice>> slices;
  std::vector<std::shared_ptr<const model::TrafficPolicy>> policies;  // the first one counts
};

struct Snapshot {
  std::uint64_t generation = 0;  // 0: nothing was read yet
  PersistentMap<model::Service> services;
  PersistentMap<model::EndpointSlice> slices;
  PersistentMap<model::Pod> pods;
  PersistentMap<model::Namespace> namespaces;
  PersistentMap<model::TrafficPolicy> policies;
  PersistentMap<model::DenyList> deny_lists;
  PersistentMap<model::AuthorizationPolicy> authorization_policies;
  PersistentMap<model::NetworkPolicy> network_policies;
  PersistentMap<model::Node> nodes;
  PersistentMap<ServiceParts> parts;
};

}  // namespace cortexflow::state
