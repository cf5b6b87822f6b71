// SPDX-License-Identifier: Apache-2.0
// Services: node ports answer on the addresses that the node has now.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/services.h"

namespace cortexflow {

void Services::poll_addresses(std::vector<Error>& errors) {
  const std::lock_guard lock(mutex_);
  auto changed = addresses_.poll(NodeAddresses::Clock::now());
  if (!changed) errors.push_back(std::move(changed.error()));
  if (!changed.value_or(false)) return;
  if (edge_) edge_->set_addresses(addresses_.all());
  auto now = addresses_.distinct();
  if (now == node_.addresses) return;
  node_.addresses = std::move(now);
  if (auto done = policies_.set_node_addresses(node_.addresses); !done) errors.push_back(std::move(done.error()));
  std::set<model::ObjectName> touched;
  desired_.snapshot()->services.for_each([&](const auto& service) {
    const auto has_node_port = [](const auto& port) { return port.node_port != 0; };
    if (std::any_of(service->ports.begin(), service->ports.end(), has_node_port)) touched.insert(service->name);
  });
  spdlog::info("this node has {} addresses now, for the node ports of {} services", node_.addresses.size(),
               touched.size());
  if (!touched.empty()) plan(touched, errors);
}

}  // namespace cortexflow
