// SPDX-License-Identifier: Apache-2.0
// The veth interfaces of the agent's network namespace, as the kernel tells of them (rtnetlink(7)).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::kernel {

struct VethLink {
  int index = 0;
  std::string name;
  bool up = false;         // both ends are
  int peer_index = 0;      // in the other end's network namespace
  std::string peer_netns;  // its name where `ip netns` or a container runtime has named it; "": here, or not named
  bool peer_is_here = false;
  std::string master;  // the bridge that it is a port of; "": none
  std::uint64_t received_packets = 0, sent_packets = 0;
  std::uint64_t received_bytes = 0, sent_bytes = 0;
  std::uint64_t received_dropped = 0, sent_dropped = 0;
};

// Sorted by name.
[[nodiscard]] Result<std::vector<VethLink>> list_veths();

}  // namespace cortexflow::kernel
