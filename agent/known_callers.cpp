// SPDX-License-Identifier: Apache-2.0
#include "agent/known_callers.h"

#include <algorithm>

#include "agent/base/octets.h"
#include "agent/compile/shares.h"
#include "agent/kernel/namespaces.h"

namespace cortexflow {

void KnownCallers::clear(kernel::ServiceTables& tables, std::vector<Error>& errors) {
  for (const auto& [key, value] : tables.read("svc_callers")) {
    if (auto erased = tables.erase("svc_callers", key); !erased) errors.push_back(std::move(erased.error()));
  }
}

void KnownCallers::release(const model::ObjectName& name, const std::string& key, kernel::ServiceTables& tables,
                           std::vector<Error>& errors) {
  auto& pods = claims_[key];
  const bool counted = pods.back().first == name;
  std::erase_if(pods, [&](const auto& claim) { return claim.first == name; });
  Result<void> done;
  if (pods.empty()) {
    claims_.erase(key);
    done = tables.erase("svc_callers", key);
  } else if (counted) {
    done = tables.put("svc_callers", key, octets_of(pods.back().second));
  }
  if (!done) errors.push_back(std::move(done.error()));
}

void KnownCallers::put(const model::ObjectName& name, const Result<std::uint64_t>& id, cf_svc_caller_kind kind,
                       const cf_svc_caller& caller, kernel::ServiceTables& tables) {
  const auto refuse = [&](const Error& error) {
    refusals_[name] = fmt::format("Pod {}/{}: {}", name.ns, name.name, error.to_string());
  };
  if (!id) return refuse(id.error());
  const auto key = octets_of(cf_svc_caller_key{*id, static_cast<__u32>(kind), 0});
  if (auto put = tables.put("svc_callers", key, octets_of(caller)); !put) return refuse(put.error());
  keys_[name].insert(key);
  auto& pods = claims_[key];
  std::erase_if(pods, [&](const auto& claim) { return claim.first == name; });
  pods.emplace_back(name, caller);
}

void KnownCallers::update(const model::ObjectName& name, const model::Pod* pod, kernel::ServiceTables& tables,
                          std::vector<Error>& errors) {
  const auto had = keys_.extract(name);
  refusals_.erase(name);
  if (pod) put_all(name, *pod, tables);
  if (!had) return;
  const auto has = keys_.find(name);
  for (const auto& key : had.mapped()) {
    if (has == keys_.end() || !has->second.contains(key)) release(name, key, tables, errors);
  }
}

void KnownCallers::put_all(const model::ObjectName& name, const model::Pod& pod, kernel::ServiceTables& tables) {
  const auto version = pod.labels.find("version");
  const cf_svc_caller caller{version == pod.labels.end() ? 0 : compile::fnv1a(version->second),
                             compile::caller_hash(name.ns + "/" + name.name)};
  const bool here = pod.node.empty() || pod.node == place_.node;
  if (place_.by_packet && here) {
    for (const auto& address : pod.addresses) {
      put(name, cf_svc_address_id(address.octets.data()), CF_SVC_CALLER_ADDRESS, caller, tables);
    }
  }
  if (here && !pod.uid.empty() && place_.cgroup_of_pod) {
    if (const auto id = place_.cgroup_of_pod(pod.uid)) put(name, *id, CF_SVC_CALLER_CGROUP, caller, tables);
  }
  if (!pod.cgroup.empty()) {
    const bool below = pod.cgroup.starts_with('/');
    put(name, kernel::cgroup_id(place_.cgroup_root + (below ? "" : "/") + pod.cgroup), CF_SVC_CALLER_CGROUP, caller,
        tables);
  }
  if (!pod.netns.empty()) put(name, kernel::netns_cookie(pod.netns), CF_SVC_CALLER_NETNS, caller, tables);
}

std::vector<model::ObjectName> KnownCallers::due(std::chrono::steady_clock::time_point now) {
  std::vector<model::ObjectName> out;
  if (refusals_.empty() || now - retried_ < kRetryEvery) return out;
  retried_ = now;
  auto at = refusals_.upper_bound(retried_last_);
  while (out.size() < std::min(kRetriesAtOnce, refusals_.size())) {
    if (at == refusals_.end()) at = refusals_.begin();
    out.push_back((at++)->first);
  }
  retried_last_ = out.back();
  return out;
}

}  // namespace cortexflow
