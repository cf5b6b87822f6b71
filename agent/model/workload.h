// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace cortexflow::model {

// What is known of the workload behind a socket, from its cgroup's path.
struct Workload {
  std::string cgroup_path;   // below the cgroup v2 mount, "/" for the root; empty where the id could not be resolved
  std::string container_id;  // 64 hex digits, or empty
  std::string pod_uid;       // or empty
  std::string name;  // "NAMESPACE/OWNER'S NAME" of a pod that is known; else systemd unit, container id's first 12
                     // digits, or the last path part
  // Of a pod that the configuration knows by its uid; else empty.
  std::string ns, pod, container;
  std::string owner;  // "Deployment/web"
};

}  // namespace cortexflow::model
