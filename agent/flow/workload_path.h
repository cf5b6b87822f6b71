// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "agent/model/dns_lookup.h"

namespace cortexflow::flow {

// What a cgroup's path says of its workload.  Knows the paths of kubelet (systemd and cgroupfs driver) with containerd,
// CRI-O and Docker, of Docker and Podman alone, and of systemd's units.  The innermost container or unit wins; a unit
// inside a container doesn't hide the container.  The root is the "host"; an empty path gives an empty workload.
model::Workload parse_workload(std::string_view cgroup_path);

}  // namespace cortexflow::flow
