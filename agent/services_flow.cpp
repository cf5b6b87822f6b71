// SPDX-License-Identifier: Apache-2.0
// Services' names for a flow's sides: by cgroup where the pod is known by it, else by address.
#include <algorithm>
#include <set>

#include "agent/netlink_lookup.h"
#include "agent/services.h"

namespace cortexflow {
namespace {

std::vector<model::IpAddress> addresses_of(const model::Service& service) {
  auto out = service.cluster_ips;
  out.insert(out.end(), service.external_ips.begin(), service.external_ips.end());
  out.insert(out.end(), service.load_balancer_ips.begin(), service.load_balancer_ips.end());
  return out;
}

}  // namespace

void Services::note_addresses(const state::Update& update) {
  const auto& [snapshot_pointer, touched] = update;
  const auto& snapshot = *snapshot_pointer;
  if (!touched.pods.empty()) named_ = snapshot_pointer;
  for (const auto& name : touched.pods) {
    const auto pod = snapshot.pods.find(name);
    // In the host's network, the address is the machine's.
    pod_addresses_.set(name, pod && !pod->host_network ? pod->addresses : std::vector<model::IpAddress>{});
  }
  for (const auto& name : touched.services) {
    const auto service = snapshot.services.find(name);
    service_addresses_.set(name, service ? addresses_of(*service) : std::vector<model::IpAddress>{});
  }
}

void Services::name_flow(model::Flow& flow, const cf_policy_judgment& policy) const {
  policies_.name_verdict(flow, policy);
  const auto name_by_address = [this](const model::IpAddress& address, model::Workload& workload) {
    const auto* name = pod_addresses_.find(address);
    const auto pod = name ? named_->pods.find(*name) : nullptr;
    if (pod) PodDirectory::fill(workload, *name, pod->owner);
  };
  pods_.name(flow.workload);
  if (flow.workload.pod.empty()) name_by_address(flow.local, flow.workload);
  name_by_address(flow.remote, flow.peer);
  if (!flow.service_address) return;
  if (const auto* service = service_addresses_.find(*flow.service_address))
    flow.service = service->ns + "/" + service->name;
}

std::map<std::string, std::vector<std::string>> Services::pods_by_interface() const {
  std::shared_ptr<const state::Snapshot> snapshot;
  {
    const std::lock_guard lock(mutex_);
    snapshot = desired_.snapshot();
  }
  std::map<std::string, std::vector<std::string>> out;
  snapshot->pods.for_each([&](const auto& pod) {
    if (pod->host_network) return;
    std::set<std::string> interfaces;
    for (const auto& address : pod->addresses) {
      if (auto name = route_towards(address)) interfaces.insert(std::move(*name));
    }
    for (const auto& name : interfaces) out[name].push_back(pod->name.ns + "/" + pod->name.name);
  });
  for (auto& [name, pods] : out) std::sort(pods.begin(), pods.end());
  return out;
}

}  // namespace cortexflow
