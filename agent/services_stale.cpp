// SPDX-License-Identifier: Apache-2.0
// Services: which backends have left, for the sockets that are connected to them.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/services.h"

namespace cortexflow {

// A kernel that can't end sockets translates all the same.  Looks at once for what left while no agent ran.
void Services::open_stale_sockets() {
  auto sweep = StaleSocketSweep::start(*tables_, [this](const auto& socket) { return has_left(socket); });
  if (!sweep) {
    stale_sockets_failure_ = sweep.error().to_string();
    spdlog::warn("services: UDP sockets stay with backends that leave: {}", stale_sockets_failure_);
    return;
  }
  stale_sockets_ = std::move(*sweep);
  stale_sockets_->request();
}

Services::UdpMembers Services::udp_members_of(
    const std::map<model::ObjectName, std::vector<compile::ServicePlan>>& services) const {
  UdpMembers out;
  const auto& entries = book_.entries();
  for (const auto& [name, plans] : services) {
    for (auto it = entries.lower_bound(compile::first_port(name)); it != entries.end() && it->first.service == name;
         ++it) {
      for (const auto& backend : it->second.plan.members) out.emplace(it->second.number, backend);
    }
  }
  return out;
}

// A refused plan counts too: it says what the user wants, though the tables are as they were.
bool Services::has_left(const cf_svc_stale_socket& socket) const {
  const std::lock_guard lock(mutex_);
  const auto* entry = book_.find(socket.service);
  if (!entry) return !book_.is_unclaimed(socket.service);
  compile::Backend backend;
  std::copy(std::begin(socket.backend.address), std::end(socket.backend.address), backend.address.octets.begin());
  backend.port = socket.backend.port;
  const auto& members = entry->plan.members;
  return !std::binary_search(members.begin(), members.end(), backend);
}

}  // namespace cortexflow
