// SPDX-License-Identifier: Apache-2.0
// Services: what load balancers are told of this node.
#include "agent/services.h"

namespace cortexflow {

// When all that they are told of is in the kernel.
Result<void> Services::start_health_ports() {
  if (!health_ports_) return {};
  health_ports_->tick(why_unwell());
  return health_ports_->start();
}

void Services::poll_health_ports(std::vector<Error>& errors) {
  if (!health_ports_) return;
  health_ports_->tick(why_unwell());
  for (auto& error : health_ports_->take_errors()) errors.push_back(std::move(error));
}

// Empty: who comes to this node from outside is taken to services.  Of several interfaces one is enough: a workload's
// may be gone with it.
std::string Services::why_unwell() const {
  const auto* kubernetes = sources_.kubernetes();
  if (kubernetes && !kubernetes->status().synced) return "the cluster's state is not known yet";
  if (!edge_failure_.empty()) return "the edge: " + edge_failure_;
  if (!edge_) return "there is no edge, as edge.interfaces is empty: nobody takes packets from outside to services";
  return edge_->attached() ? "" : "the edge is on none of its interfaces";
}

}  // namespace cortexflow
