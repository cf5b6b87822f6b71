// SPDX-License-Identifier: Apache-2.0
#include "agent/service_rows.h"

#include <fmt/ranges.h>

#include <map>
#include <set>

#include "agent/compile/backend_facts.h"
#include "agent/compile/connection_results.h"
#include "agent/model/address_port.h"

namespace cortexflow {
namespace {

double seconds(double us) { return us / 1e6; }

control::ConnectionRow connections_of(const cf_backend_load& load) {
  control::ConnectionRow row;
  for (std::size_t i = 0; i < compile::kResultNames.size(); ++i)
    row.results[compile::kResultNames[i]] = load.results[i];
  row.failed = compile::failed_connects(load);
  if (const auto established = load.results[CF_SVC_R_ESTABLISHED]; established != 0) {
    row.connect_mean_s = seconds(static_cast<double>(load.connect_us) / static_cast<double>(established));
  }
  row.connect_recent_s = seconds(static_cast<double>(load.cost >> 32U));
  row.round_trip_s = seconds(load.round_trip_us);
  return row;
}

using SlotCounts = std::map<std::uint32_t, std::size_t>;  // by backend

SlotCounts counted(const std::vector<std::uint32_t>& slots) {
  SlotCounts out;
  for (const auto number : slots) ++out[number];
  return out;
}

// What the kernel's tables say.
void add_live(control::BackendRow& row, std::uint32_t number, const SlotCounts& in_slots, std::size_t slots,
              const kernel::ServiceTables& tables) {
  row.number = number;
  const auto load = tables.value<cf_backend_load>("svc_load_be", number);
  row.active = load.active;
  row.chosen = load.chosen;
  row.connections = connections_of(load);
  const auto found = in_slots.find(number);
  if (found != in_slots.end()) row.share = static_cast<double>(found->second) / static_cast<double>(slots);
}

void add_live(control::ServiceRow& row, std::uint32_t number, const kernel::ServiceTables& tables) {
  row.number = number;
  const auto load = tables.value<cf_service_load>("svc_load", number);
  row.active = load.active;
  row.pending = load.pending;
  row.refused = load.refused + load.refused_pending;
}

void add_backends(control::ServiceRow& row, const compile::PortKey& key, const compile::Entry& entry,
                  const compile::ServiceInput& input, const kernel::ServiceTables& tables,
                  const ServiceHealth& health) {
  const auto& slots = entry.image.table.slots;
  const auto in_slots = counted(slots);
  std::map<std::string, double> subset_shares;
  for (auto& fact : compile::backend_facts(input, entry.plan)) {
    control::BackendRow backend;
    backend.address = model::address_port_text(fact.backend.address, fact.backend.port);
    const auto number = entry.image.backends.find(fact.backend);
    if (number != entry.image.backends.end()) add_live(backend, number->second, in_slots, slots.size(), tables);
    subset_shares[fact.subset] += backend.share;
    backend.pod = std::move(fact.pod);
    backend.subset = std::move(fact.subset);
    backend.weight = fact.weight;
    backend.weight_set = fact.weight_set;
    backend.state = std::move(fact.state);
    backend.reason = std::move(fact.reason);
    health.show({key.service, {fact.backend.address, fact.backend.port, key.protocol}}, backend);
    row.backends.push_back(std::move(backend));
  }
  for (auto& subset : compile::subset_facts(input)) {
    const auto share = subset_shares[subset.name];
    row.subsets.push_back({std::move(subset.name), subset.weight, subset.manifest_weight, subset.weight_set, share});
  }
}

// Why no backend is chosen.
std::string why_nobody(const control::ServiceRow& row, const compile::PortKey& key, const compile::Entry& entry,
                       const compile::ServiceInput& input) {
  std::map<std::string, int> states;
  for (const auto& backend : row.backends) {
    const bool says_more = backend.state == "no weight" && !backend.reason.empty();
    ++states[says_more ? fmt::format("{}: {}", backend.state, backend.reason) : backend.state];
  }
  if (!states.empty()) {
    std::string words;
    for (const auto& [state, n] : states) words += fmt::format("{}{} {}", words.empty() ? "" : ", ", n, state);
    return fmt::format("no backend takes callers ({})", words);
  }
  if (input.slices.empty()) {
    return fmt::format(
        "no backend: no EndpointSlice has the label kubernetes.io/service-name: {} (selectors are not evaluated here)",
        key.service.name);
  }
  std::set<std::string> names;
  bool endpoints = false;
  for (const auto* slice : input.slices) {
    endpoints = endpoints || !slice->endpoints.empty();
    for (const auto& port : slice->ports) {
      if (port.protocol == key.protocol) names.insert(fmt::format("\"{}\"", port.name));
    }
  }
  if (!endpoints) return "no backend: its EndpointSlices have no endpoints";
  if (names.contains(fmt::format("\"{}\"", entry.plan.port_name))) return "no backend: no endpoint of this family";
  return fmt::format("no backend: its EndpointSlices have no {} port \"{}\" ({})", row.protocol, entry.plan.port_name,
                     names.empty() ? "they have none" : fmt::format("they have {}", fmt::join(names, ", ")));
}

}  // namespace

const char* algorithm_name(std::uint8_t algorithm) {
  switch (static_cast<cf_svc_algorithm>(algorithm)) {
    case CF_SVC_ROUND_ROBIN:
      return "RoundRobin";
    case CF_SVC_RANDOM:
      return "Random";
    case CF_SVC_LEAST_CONNECTIONS:
      return "LeastConnections";
    case CF_SVC_HASH:
      return "ConsistentHash";
    case CF_SVC_LEAST_LATENCY:
      return "LeastLatency";
  }
  return "";
}

std::string contested_text(const compile::Frontend& frontend, const compile::ServiceBook& book) {
  const auto address = model::address_port_text(frontend.address, frontend.port);
  const auto* has = book.holder(frontend);
  return has ? fmt::format("{} is service {}/{}'s", address, has->service.ns, has->service.name)
             : fmt::format("{} is held for a service that can't be read yet", address);
}

control::ServiceRow service_row(const compile::PortKey& key, const compile::Entry& entry,
                                const compile::ServiceBook& book, const compile::ServiceInput& input,
                                const kernel::ServiceTables& tables, const ServiceHealth& health) {
  control::ServiceRow row;
  row.ns = key.service.ns;
  row.name = key.service.name;
  row.port_name = entry.plan.port_name;
  row.protocol = key.protocol == model::Protocol::kUdp ? "UDP" : "TCP";
  for (const auto& [address, port] : entry.plan.frontends)
    row.addresses.push_back(model::address_port_text(address, port));
  add_live(row, entry.number, tables);
  row.algorithm = algorithm_name(entry.plan.algorithm);
  row.affinity_s = entry.plan.affinity_s;
  row.max_connections = entry.plan.circuit_breaker.max_connections;
  row.max_pending = entry.plan.circuit_breaker.max_pending;
  if (input.service) add_backends(row, key, entry, input, tables, health);
  for (const auto& [version, slots] : entry.plan.by_version) row.versions.push_back(version);
  if (!entry.refusal.empty()) row.problems.push_back(entry.refusal);
  for (const auto& frontend : entry.contested) row.problems.push_back(contested_text(frontend, book));
  if (entry.plan.panic) {
    row.problems.push_back(
        fmt::format("panic: {} of {} ready backends are healthy, below the policy's panicThreshold: all are used",
                    entry.plan.left, entry.plan.ready));
  }
  if (entry.image.table.slots.empty()) {
    row.problems.push_back(fmt::format("{}: connecting is refused", why_nobody(row, key, entry, input)));
  }
  return row;
}

control::ServiceRow held_row(std::uint32_t number, const compile::ServiceImage& image,
                             const kernel::ServiceTables& tables) {
  control::ServiceRow row;
  row.protocol = image.protocol == model::Protocol::kUdp ? "UDP" : "TCP";
  for (const auto& frontend : image.frontends)
    row.addresses.push_back(model::address_port_text(frontend.address, frontend.port));
  add_live(row, number, tables);
  row.algorithm = algorithm_name(image.algorithm);
  row.affinity_s = image.affinity_s;
  row.max_connections = image.circuit_breaker.max_connections;
  row.max_pending = image.circuit_breaker.max_pending;
  const auto in_slots = counted(image.table.slots);
  for (const auto& [address, backend_number] : image.backends) {
    control::BackendRow backend;
    backend.address = model::address_port_text(address.address, address.port);
    add_live(backend, backend_number, in_slots, image.table.slots.size(), tables);
    const bool resting = image.drained.contains(address);
    backend.state = resting ? "drained" : "held";
    if (resting) backend.reason = "it was drained, or had no weight";
    row.backends.push_back(std::move(backend));
  }
  return row;
}

}  // namespace cortexflow
