// SPDX-License-Identifier: Apache-2.0
#include "agent/services.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "agent/compile/adopt.h"
#include "agent/compile/shares.h"
#include "agent/kernel/namespaces.h"

namespace cortexflow {
namespace {

constexpr std::array kMaps{compile::Map::kFrontends,   compile::Map::kServices, compile::Map::kServiceLoads,
                           compile::Map::kSubsets,     compile::Map::kSlots,    compile::Map::kBackends,
                           compile::Map::kBackendLoads};

template <typename Value>
std::string octets(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// This machine's own addresses, but loopback's and link-local ones: where node ports answer.
std::vector<model::IpAddress> node_addresses() {
  std::vector<model::IpAddress> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const auto* one = list; one; one = one->ifa_next) {
    if (!one->ifa_addr) continue;
    model::IpAddress address;
    if (one->ifa_addr->sa_family == AF_INET) {
      const auto* in = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      if (ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) continue;
      address.octets[10] = address.octets[11] = 0xff;
      std::memcpy(address.octets.data() + 12, &in->sin_addr, 4);
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      const auto* in = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      if (IN6_IS_ADDR_LOOPBACK(&in->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr)) continue;
      std::memcpy(address.octets.data(), &in->sin6_addr, 16);
    } else {
      continue;
    }
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
  }
  freeifaddrs(list);
  return out;
}

std::string address_text(const model::IpAddress& address, std::uint16_t port) {
  return address.is_v4() ? fmt::format("{}:{}", address.to_string(), port)
                         : fmt::format("[{}]:{}", address.to_string(), port);
}

const char* algorithm_name(cf_svc_algorithm algorithm) {
  switch (algorithm) {
    case CF_SVC_ROUND_ROBIN:
      return "RoundRobin";
    case CF_SVC_RANDOM:
      return "Random";
    case CF_SVC_LEAST_CONNECTIONS:
      return "LeastConnections";
    case CF_SVC_HASH:
      return "ConsistentHash";
  }
  return "";
}

// Everything that the service's meaning depends on, from the snapshot, which has to outlive it.
compile::ServiceInput input_of(const model::Service& service, const state::Snapshot& snapshot) {
  compile::ServiceInput input;
  input.service = &service;
  const auto parts = snapshot.parts.find(service.name);
  if (!parts) return input;
  if (!parts->policies.empty()) input.policy = parts->policies.front().get();
  for (const auto& slice : parts->slices) {
    input.slices.push_back(slice.get());
    for (const auto& endpoint : slice->endpoints) {
      if (endpoint.pod.name.empty()) continue;
      if (const auto pod = snapshot.pods.find(endpoint.pod)) input.pods[endpoint.pod] = pod.get();
    }
  }
  return input;
}

}  // namespace

Result<std::unique_ptr<Services>> Services::open(const source::Settings& settings, const std::string& cgroup_root) {
  auto manifests = source::ManifestSource::open(settings.manifests);
  if (!manifests) return tl::make_unexpected(std::move(manifests.error()));
  auto tables = kernel::ServiceTables::open({cgroup_root, settings.pin_path, settings.keep_services_on_exit});
  if (!tables) return tl::make_unexpected(std::move(tables.error()));
  std::unique_ptr<Services> services(new Services(std::move(*manifests), std::move(*tables),
                                                  {settings.node_name, settings.zone, node_addresses()}, cgroup_root));
  services->by_packet_ = !settings.service_interfaces.empty();
  std::vector<Error> errors;
  services->take_over(errors);
  if (const auto first = services->manifests_.poll(Clock::now())) services->update(*first, errors);
  services->write(services->book_.drop_unclaimed(), errors);
  if (!errors.empty()) return tl::make_unexpected(std::move(errors.front()));
  if (auto attached = services->tables_->attach(); !attached) return tl::make_unexpected(std::move(attached.error()));
  if (!settings.service_interfaces.empty()) {
    auto redirect = kernel::Redirect::open(
        {settings.service_interfaces, settings.pin_path, settings.keep_services_on_exit}, *services->tables_);
    if (!redirect) return tl::make_unexpected(std::move(redirect.error()));
    services->redirect_ = std::move(*redirect);
  }
  return services;
}

Services::Services(source::ManifestSource manifests, std::unique_ptr<kernel::ServiceTables> tables,
                   compile::NodeContext node, std::string cgroup_root)
    : manifests_(std::move(manifests)),
      tables_(std::move(tables)),
      node_(std::move(node)),
      cgroup_root_(std::move(cgroup_root)) {}

void Services::take_over(std::vector<Error>& errors) {
  if (!tables_->adopted()) return;
  std::map<compile::Map, compile::MapContents> contents;
  for (const auto map : kMaps) contents[map] = tables_->read(compile::map_name(map));
  auto found = compile::adopt(contents);
  write(found.strays, errors);
  book_ = compile::ServiceBook(std::move(found.adopted));
  // Callers are written anew from the pods: their cgroups and namespaces may be others by now.
  for (const auto& [key, value] : tables_->read("svc_callers")) {
    if (auto erased = tables_->erase("svc_callers", key); !erased) errors.push_back(std::move(erased.error()));
  }
}

std::vector<Error> Services::poll() {
  std::vector<Error> errors;
  if (const auto changes = manifests_.poll(Clock::now())) update(*changes, errors);
  return errors;
}

void Services::update(const model::SourceUpdate& changes, std::vector<Error>& errors) {
  const std::lock_guard lock(mutex_);
  const auto update = desired_.apply(0, changes);
  const auto& snapshot = *update.snapshot;
  for (const auto& pod : update.touched.pods) update_caller(pod, snapshot, errors);
  std::map<model::ObjectName, std::vector<compile::ServicePlan>> plans;
  for (const auto& name : update.touched.services) {
    plan_refusals_.erase(name);
    auto& planned = plans[name];
    const auto service = snapshot.services.find(name);
    if (!service) continue;
    auto result = compile::plan_service(input_of(*service, snapshot), node_);
    planned = std::move(result.plans);
    if (!result.refusals.empty()) plan_refusals_[name] = std::move(result.refusals);
  }
  write(book_.update(plans), errors);
}

void Services::update_caller(const model::ObjectName& name, const state::Snapshot& snapshot,
                             std::vector<Error>& errors) {
  if (const auto had = caller_keys_.find(name); had != caller_keys_.end()) {
    for (const auto& key : had->second) {
      if (auto erased = tables_->erase("svc_callers", key); !erased) errors.push_back(std::move(erased.error()));
    }
    caller_keys_.erase(had);
  }
  caller_refusals_.erase(name);
  const auto pod = snapshot.pods.find(name);
  if (!pod) return;
  const auto version = pod->labels.find("version");
  const cf_svc_caller caller{version == pod->labels.end() ? 0 : compile::fnv1a(version->second),
                             compile::fnv1a(name.ns + "/" + name.name)};
  const auto note = [&](const Result<std::uint64_t>& id, cf_svc_caller_kind kind) {
    if (!id) {
      caller_refusals_[name] = fmt::format("Pod {}/{}: {}", name.ns, name.name, id.error().to_string());
      return;
    }
    const auto key = octets(cf_svc_caller_key{*id, static_cast<__u32>(kind), 0});
    if (auto put = tables_->put("svc_callers", key, octets(caller)); !put) {
      caller_refusals_[name] = fmt::format("Pod {}/{}: {}", name.ns, name.name, put.error().to_string());
      return;
    }
    caller_keys_[name].push_back(key);
  };
  const bool here = pod->node.empty() || pod->node == node_.name;
  for (const auto& address : by_packet_ && here ? pod->addresses : std::vector<model::IpAddress>{}) {
    note(cf_svc_address_id(address.octets.data()), CF_SVC_CALLER_ADDRESS);
  }
  if (!pod->cgroup.empty()) {
    const bool below = pod->cgroup.starts_with('/');
    note(kernel::cgroup_id(cgroup_root_ + (below ? "" : "/") + pod->cgroup), CF_SVC_CALLER_CGROUP);
  }
  if (!pod->netns.empty()) note(kernel::netns_cookie(pod->netns), CF_SVC_CALLER_NETNS);
}

void Services::write(const std::vector<compile::Operation>& operations, std::vector<Error>& errors) {
  for (const auto& operation : operations) {
    const auto* map = compile::map_name(operation.map);
    auto done =
        operation.erase ? tables_->erase(map, operation.key) : tables_->put(map, operation.key, operation.value);
    if (!done) errors.push_back(std::move(done.error()));
  }
}

std::vector<control::ServiceRow> Services::rows() const {
  const auto load_of = [this](const char* map, std::uint32_t number, auto& load) {
    if (const auto value = tables_->find(map, octets(number)); value && value->size() == sizeof load) {
      std::memcpy(&load, value->data(), sizeof load);
    }
  };
  const std::lock_guard lock(mutex_);
  std::vector<control::ServiceRow> out;
  for (const auto& [key, entry] : book_.entries()) {
    control::ServiceRow row;
    row.ns = key.service.ns;
    row.name = key.service.name;
    row.port_name = key.port_name;
    row.protocol = key.protocol == model::Protocol::kUdp ? "UDP" : "TCP";
    for (const auto& [address, port] : entry.plan.frontends) row.addresses.push_back(address_text(address, port));
    row.number = entry.number;
    row.algorithm = algorithm_name(entry.plan.algorithm);
    row.affinity_s = entry.plan.affinity_s;
    row.max_connections = entry.plan.max_connections;
    cf_service_load load{};
    load_of("svc_load", entry.number, load);
    row.active = load.active;
    row.refused = load.refused;
    for (const auto& [backend, number] : entry.image.backends) {
      cf_backend_load its{};
      load_of("svc_load_be", number, its);
      const auto slots = std::count(entry.image.table.slots.begin(), entry.image.table.slots.end(), number);
      const auto all = std::max<std::size_t>(1, entry.image.table.slots.size());
      row.backends.push_back({address_text(backend.address, backend.port), number,
                              static_cast<double>(slots) / static_cast<double>(all), its.active, its.chosen});
    }
    for (const auto& [version, slots] : entry.plan.by_version) row.versions.push_back(version);
    if (!entry.refusal.empty()) row.problems.push_back(entry.refusal);
    for (const auto& frontend : entry.contested) {
      row.problems.push_back(fmt::format("{} is another service's", address_text(frontend.address, frontend.port)));
    }
    if (entry.image.table.slots.empty()) row.problems.emplace_back("no backend is ready: connecting is refused");
    if (const auto found = plan_refusals_.find(key.service); found != plan_refusals_.end()) {
      row.problems.insert(row.problems.end(), found->second.begin(), found->second.end());
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<Services::Use> Services::usage() const {
  const std::lock_guard lock(mutex_);
  const auto& used = book_.usage();
  const auto& limit = compile::kLimits;
  using compile::Map;
  return {{map_name(Map::kFrontends), used.frontends, limit.frontends},
          {map_name(Map::kServices), used.services, limit.services},
          {map_name(Map::kSubsets), used.subsets, limit.subsets},
          {map_name(Map::kSlots), used.slots, limit.slots},
          {map_name(Map::kBackends), used.backends, limit.backends}};
}

std::vector<std::string> Services::refusals() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& refusal : desired_.refusals()) out.push_back(refusal.to_string());
  for (const auto& [pod, words] : caller_refusals_) out.push_back(words);
  return out;
}

}  // namespace cortexflow
