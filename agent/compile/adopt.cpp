// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/adopt.h"

#include <algorithm>
#include <optional>
#include <set>

#include "agent/base/octets.h"

namespace cortexflow::compile {
namespace {

class Reader {
 public:
  explicit Reader(const std::map<Map, MapContents>& contents) {
    for (const auto& [map, entries] : contents) {
      for (const auto& [key, value] : entries) all_[map][key] = value;
    }
  }

  // Marks the entry as led to.
  template <typename Value, typename Key>
  std::optional<Value> take(Map map, const Key& key) {
    const auto octets = octets_of(key);
    const auto found = all_[map].find(octets);
    if (found == all_[map].end()) return std::nullopt;
    led_to_[map].insert(octets);
    return value_of<Value>(found->second);
  }

  const std::map<std::string, std::string>& entries(Map map) { return all_[map]; }

  std::vector<Operation> strays() const {
    std::vector<Operation> out;
    // As in operations(): what points goes before what it points to.
    for (const auto map : {Map::kFrontends, Map::kSubsets, Map::kServices, Map::kServiceLoads, Map::kSlots,
                           Map::kBackends, Map::kBackendLoads}) {
      const auto entries = all_.find(map);
      if (entries == all_.end()) continue;
      const auto seen = led_to_.find(map);
      for (const auto& [key, value] : entries->second) {
        if (seen == led_to_.end() || !seen->second.count(key)) out.push_back({map, true, key, {}});
      }
    }
    return out;
  }

 private:
  std::map<Map, std::map<std::string, std::string>> all_;
  std::map<Map, std::set<std::string>> led_to_;
};

Backend from_abi(const cf_backend& backend) {
  Backend out;
  std::copy(std::begin(backend.address), std::end(backend.address), out.address.octets.begin());
  out.port = backend.port;
  return out;
}

// False if a slot that counts leads nowhere.
bool read_table(Reader& reader, std::uint32_t number, std::uint32_t size, std::uint32_t service, TableImage& table,
                ServiceImage& image) {
  table.number = number;
  for (std::uint32_t i = 0; i < size; ++i) {
    const auto slot = reader.take<cf_svc_slot>(Map::kSlots, cf_svc_slot_key{number, i});
    if (!slot) return false;
    const auto backend = reader.take<cf_backend>(Map::kBackends, slot->backend);
    if (!backend || backend->service != service) return false;
    reader.take<cf_backend_load>(Map::kBackendLoads, slot->backend);
    image.backends[from_abi(*backend)] = slot->backend;
    if (backend->flags & CF_SVC_BACKEND_PROBATION) image.probation.insert(from_abi(*backend));
    table.slots.push_back(slot->backend);
  }
  return true;
}

}  // namespace

AdoptedMaps adopt(const std::map<Map, MapContents>& contents) {
  AdoptedMaps out;
  auto& numbers = out.adopted.numbers;
  Reader reader(contents);
  std::map<std::uint32_t, std::vector<Frontend>> frontends;
  for (const auto& [key, value] : reader.entries(Map::kFrontends)) {
    const auto address = value_of<cf_svc_address>(key);
    const auto frontend = value_of<cf_svc_frontend>(value);
    if (address && frontend) frontends[frontend->service].push_back(from_abi(*address));
  }
  std::map<std::uint32_t, std::vector<cf_svc_subset_key>> subsets;
  for (const auto& [key, value] : reader.entries(Map::kSubsets)) {
    if (const auto subset = value_of<cf_svc_subset_key>(key)) subsets[subset->service].push_back(*subset);
  }
  std::map<std::uint32_t, std::vector<std::uint32_t>> drained;  // by service
  for (const auto& [key, value] : reader.entries(Map::kBackends)) {
    const auto number = value_of<std::uint32_t>(key);
    const auto backend = value_of<cf_backend>(value);
    if (number && backend && (backend->flags & CF_SVC_BACKEND_DRAINED)) drained[backend->service].push_back(*number);
  }
  for (auto& [number, addresses] : frontends) {
    const auto service = reader.take<cf_service>(Map::kServices, number);
    if (!service) continue;
    reader.take<cf_service_load>(Map::kServiceLoads, number);
    ServiceImage image;
    image.algorithm = static_cast<cf_svc_algorithm>(service->algorithm);
    image.affinity_s = service->affinity_s;
    image.owner = service->owner;
    image.circuit_breaker = {service->max_connections, service->max_pending,
                             (service->flags & CF_SVC_REFUSE_EPERM) != 0};
    image.protocol = addresses.front().protocol;
    bool whole = read_table(reader, service->table, service->size, number, image.table, image);
    numbers.table = std::max(numbers.table, service->table + 1);
    for (const auto& key : subsets[number]) {
      const auto subset = reader.take<cf_svc_subset>(Map::kSubsets, key);
      whole = whole && subset &&
              read_table(reader, subset->table, subset->size, number, image.by_version[key.version], image);
      if (subset) numbers.table = std::max(numbers.table, subset->table + 1);
    }
    for (const auto backend_number : drained[number]) {
      const auto backend = reader.take<cf_backend>(Map::kBackends, backend_number);
      reader.take<cf_backend_load>(Map::kBackendLoads, backend_number);
      image.backends[from_abi(*backend)] = backend_number;
      image.drained.insert(from_abi(*backend));
    }
    if (!whole) continue;  // can't be, by the order of writing; its frontends are strays then
    std::sort(addresses.begin(), addresses.end());
    for (const auto& address : addresses) reader.take<cf_svc_frontend>(Map::kFrontends, to_abi(address));
    image.frontends = std::move(addresses);
    out.adopted.images[number] = std::move(image);
  }
  for (const auto& [key, value] : reader.entries(Map::kServices)) {
    if (const auto number = value_of<std::uint32_t>(key)) numbers.service = std::max(numbers.service, *number + 1);
  }
  for (const auto& [key, value] : reader.entries(Map::kBackends)) {
    if (const auto number = value_of<std::uint32_t>(key)) numbers.backend = std::max(numbers.backend, *number + 1);
  }
  for (const auto& [key, value] : reader.entries(Map::kSlots)) {
    if (const auto slot = value_of<cf_svc_slot_key>(key)) numbers.table = std::max(numbers.table, slot->table + 1);
  }
  out.strays = reader.strays();
  return out;
}

}  // namespace cortexflow::compile
