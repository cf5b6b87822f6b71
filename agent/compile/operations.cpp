// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/operations.h"

#include <algorithm>
#include <set>

#include "agent/base/octets.h"

namespace cortexflow::compile {
namespace {

cf_service service_value(const ServiceImage& image) {
  cf_service value{};
  value.table = image.table.number;
  value.size = static_cast<std::uint32_t>(image.table.slots.size());
  value.algorithm = static_cast<std::uint8_t>(image.algorithm);
  value.flags = static_cast<std::uint8_t>((image.by_version.empty() ? 0 : CF_SVC_BY_VERSION) |
                                          (image.table.slots.empty() ? CF_SVC_REFUSE : 0) |
                                          (image.circuit_breaker.refuse_with_eperm ? CF_SVC_REFUSE_EPERM : 0));
  value.owner = image.owner;
  value.affinity_s = image.affinity_s;
  value.max_connections = image.circuit_breaker.max_connections;
  value.max_pending = image.circuit_breaker.max_pending;
  return value;
}

enum Phase {
  kBackends,
  kSlots,
  kServices,
  kFrontends,
  kEraseFrontends,
  kEraseServices,
  kEraseSlots,
  kEraseBackends,
  kPhases
};

class Writer {
 public:
  template <typename Key, typename Value>
  void put(Phase phase, Map map, const Key& key, const Value& value) {
    phases_[phase].push_back({map, false, octets_of(key), octets_of(value)});
  }
  template <typename Key>
  void erase(Phase phase, Map map, const Key& key) {
    phases_[phase].push_back({map, true, octets_of(key), {}});
  }
  std::vector<Operation> all() && {
    std::vector<Operation> out;
    for (auto& phase : phases_) std::move(phase.begin(), phase.end(), std::back_inserter(out));
    return out;
  }

 private:
  std::array<std::vector<Operation>, kPhases> phases_;
};

std::uint8_t flags_of(const ServiceImage& image, const Backend& backend) {
  return static_cast<std::uint8_t>((image.drained.contains(backend) ? CF_SVC_BACKEND_DRAINED : 0) |
                                   (image.probation.contains(backend) ? CF_SVC_BACKEND_PROBATION : 0));
}

void backends(Writer& writer, const Step& step) {
  if (step.after) {
    for (const auto& [backend, number] : step.after->backends) {
      bool there = false;
      if (step.before) {
        const auto had = step.before->backends.find(backend);
        there = had != step.before->backends.end() && had->second == number;
      }
      const auto flags = flags_of(*step.after, backend);
      if (there && flags_of(*step.before, backend) == flags) continue;
      cf_backend value{};
      std::copy(backend.address.octets.begin(), backend.address.octets.end(), value.address);
      value.port = backend.port;
      value.protocol = static_cast<std::uint8_t>(step.after->protocol);
      value.service = step.service;
      value.flags = flags;
      if (!there) writer.put(kBackends, Map::kBackendLoads, number, cf_backend_load{});
      writer.put(kBackends, Map::kBackends, number, value);
    }
  }
  if (step.before) {
    for (const auto& [backend, number] : step.before->backends) {
      if (step.after) {
        const auto has = step.after->backends.find(backend);
        if (has != step.after->backends.end() && has->second == number) continue;
      }
      writer.erase(kEraseBackends, Map::kBackends, number);
      writer.erase(kEraseBackends, Map::kBackendLoads, number);
    }
  }
}

void slots(Writer& writer, const TableImage* before, const TableImage* after) {
  const auto had = before ? before->slots.size() : 0;
  const auto has = after ? after->slots.size() : 0;
  for (std::uint32_t i = 0; i < has; ++i) {
    if (i < had && before->slots[i] == after->slots[i]) continue;
    writer.put(kSlots, Map::kSlots, cf_svc_slot_key{after->number, i}, cf_svc_slot{after->slots[i]});
  }
  for (auto i = static_cast<std::uint32_t>(has); i < had; ++i) {
    writer.erase(kEraseSlots, Map::kSlots, cf_svc_slot_key{before->number, i});
  }
}

void subsets(Writer& writer, const Step& step) {
  static const std::map<std::uint64_t, TableImage> kNone;
  const auto& before = step.before ? step.before->by_version : kNone;
  const auto& after = step.after ? step.after->by_version : kNone;
  for (const auto& [version, table] : after) {
    const auto had = before.find(version);
    slots(writer, had == before.end() ? nullptr : &had->second, &table);
    if (had != before.end() && had->second.slots.size() == table.slots.size()) continue;
    writer.put(kServices, Map::kSubsets, cf_svc_subset_key{version, step.service, 0},
               cf_svc_subset{table.number, static_cast<std::uint32_t>(table.slots.size()), 0, 0, 0});
  }
  for (const auto& [version, table] : before) {
    if (after.count(version)) continue;
    writer.erase(kEraseServices, Map::kSubsets, cf_svc_subset_key{version, step.service, 0});
    slots(writer, &table, nullptr);
  }
}

void service(Writer& writer, const Step& step) {
  if (!step.after) {
    writer.erase(kEraseServices, Map::kServices, step.service);
    writer.erase(kEraseServices, Map::kServiceLoads, step.service);
    return;
  }
  const auto value = service_value(*step.after);
  if (!step.before) writer.put(kBackends, Map::kServiceLoads, step.service, cf_service_load{});
  if (!step.before || octets_of(service_value(*step.before)) != octets_of(value)) {
    writer.put(kServices, Map::kServices, step.service, value);
  }
}

}  // namespace

const char* map_name(Map map) {
  switch (map) {
    case Map::kFrontends:
      return "svc_frontends";
    case Map::kServices:
      return "svc_services";
    case Map::kServiceLoads:
      return "svc_load";
    case Map::kSubsets:
      return "svc_subsets";
    case Map::kSlots:
      return "svc_slots";
    case Map::kBackends:
      return "svc_backends";
    case Map::kBackendLoads:
      return "svc_load_be";
  }
  return "";
}

cf_svc_address to_abi(const Frontend& frontend) {
  cf_svc_address key{};
  std::copy(frontend.address.octets.begin(), frontend.address.octets.end(), key.address);
  key.port = frontend.port;
  key.protocol = static_cast<std::uint8_t>(frontend.protocol);
  return key;
}

Frontend from_abi(const cf_svc_address& address) {
  Frontend frontend;
  std::copy(std::begin(address.address), std::end(address.address), frontend.address.octets.begin());
  frontend.port = address.port;
  frontend.protocol = static_cast<model::Protocol>(address.protocol);
  return frontend;
}

std::vector<Operation> operations(std::span<const Step> steps) {
  Writer writer;
  std::set<Frontend> present;  // in some step's outcome: written over, not erased
  for (const auto& step : steps) {
    if (step.after) present.insert(step.after->frontends.begin(), step.after->frontends.end());
  }
  for (const auto& step : steps) {
    backends(writer, step);
    slots(writer, step.before ? &step.before->table : nullptr, step.after ? &step.after->table : nullptr);
    subsets(writer, step);
    service(writer, step);
    if (step.after) {
      for (const auto& frontend : step.after->frontends) {
        if (step.before && std::binary_search(step.before->frontends.begin(), step.before->frontends.end(), frontend)) {
          continue;
        }
        writer.put(kFrontends, Map::kFrontends, to_abi(frontend), cf_svc_frontend{step.service});
      }
    }
    if (step.before) {
      for (const auto& frontend : step.before->frontends) {
        if (!present.count(frontend)) writer.erase(kEraseFrontends, Map::kFrontends, to_abi(frontend));
      }
    }
  }
  return std::move(writer).all();
}

}  // namespace cortexflow::compile
