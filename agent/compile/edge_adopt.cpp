// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "agent/base/octets.h"
#include "agent/compile/edge_book.h"

namespace cortexflow::compile {
namespace {

Frontend frontend_of(const cf_edge_address& address) {
  Frontend out;
  std::copy(std::begin(address.address), std::end(address.address), out.address.octets.begin());
  out.port = address.port;
  out.protocol = static_cast<model::Protocol>(address.protocol);
  return out;
}

}  // namespace

EdgeAdopted adopt_edge(const std::map<EdgeMap, std::vector<std::pair<std::string, std::string>>>& maps) {
  EdgeAdopted out;
  static const std::vector<std::pair<std::string, std::string>> kNone;
  const auto contents = [&](EdgeMap map) -> const auto& {
    const auto found = maps.find(map);
    return found == maps.end() ? kNone : found->second;
  };
  const auto entry_of = [&](std::uint32_t service) -> EdgeEntry& {
    auto& entry = out.entries[service];
    entry.service = service;
    return entry;
  };
  std::map<std::uint32_t, std::uint32_t> service_of;  // by table
  for (const auto& [key, octets] : contents(EdgeMap::kFrontends)) {
    const auto address = value_of<cf_edge_address>(key);
    const auto value = value_of<cf_edge_frontend>(octets);
    if (!address || !value) continue;
    const auto frontend = frontend_of(*address);
    if (value->mode == CF_EDGE_LOCAL_BACKEND) {
      out.local.insert(frontend);
      continue;
    }
    auto& entry = entry_of(value->service);
    entry.table = value->table;
    entry.owner = value->owner;
    entry.frontends.push_back(frontend);
    entry.plan.frontends.emplace_back(frontend.address, frontend.port);
    entry.plan.protocol = frontend.protocol;
    entry.plan.mode = static_cast<cf_edge_mode>(value->mode);
    entry.plan.by_client = value->flags & CF_EDGE_BY_CLIENT;
    if (value->flags & CF_EDGE_LIMITED) entry.plan.limited.emplace_back(frontend.address, frontend.port);
    service_of[value->table] = value->service;
  }
  for (const auto& [key, octets] : contents(EdgeMap::kBackends)) {
    const auto value = value_of<cf_edge_backend>(octets);
    const auto index = value_of<std::uint32_t>(key);
    if (!index || !value || value->id == 0) continue;
    const auto number = static_cast<std::uint16_t>(*index);
    out.ids[number] = value->id;
    auto& entry = entry_of(value->service);
    Backend backend;
    std::copy(std::begin(value->address), std::end(value->address), backend.address.octets.begin());
    backend.port = value->port;
    entry.numbers[backend] = number;
    entry.plan.backends.push_back(
        {backend, 1, (value->flags & CF_EDGE_LOCAL) != 0, (value->flags & CF_EDGE_DRAINING) != 0});
  }
  for (const auto& [key, octets] : contents(EdgeMap::kRanges)) {
    const auto range = value_of<cf_edge_range>(key);
    if (!range) continue;
    model::Cidr cidr;
    std::copy(std::begin(range->address), std::end(range->address), cidr.prefix.octets.begin());
    const unsigned bits = range->prefix_length - 32;
    cidr.length = static_cast<std::uint8_t>(bits - (cidr.prefix.is_v4() ? 96U : 0U));
    entry_of(range->service).plan.ranges.push_back(cidr);
  }
  for (const auto& [key, octets] : contents(EdgeMap::kTables)) {
    const auto table = value_of<std::uint32_t>(key);
    if (!table) continue;
    const auto found = service_of.find(*table);
    if (found == service_of.end()) {
      out.tables.insert(*table);
      continue;
    }
    if (octets.size() != sizeof(cf_edge_table)) continue;
    auto& slots = out.entries[found->second].slots;
    slots.resize(CF_EDGE_TABLE_SLOTS);
    std::memcpy(slots.data(), octets.data(), octets.size());
  }
  for (auto& [service, entry] : out.entries) {
    std::sort(entry.plan.frontends.begin(), entry.plan.frontends.end());
    std::sort(entry.plan.backends.begin(), entry.plan.backends.end());
    std::sort(entry.plan.limited.begin(), entry.plan.limited.end());
    std::sort(entry.plan.ranges.begin(), entry.plan.ranges.end());
    entry.wanted = entry.plan;
  }
  return out;
}

}  // namespace cortexflow::compile
