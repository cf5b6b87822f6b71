// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/differences.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortexflow::compile {
namespace {

class Comparison {
 public:
  template <typename Value>
  void same(const char* what, const Value& kernel, const Value& wanted) {
    if (kernel != wanted) out.push_back(fmt::format("{}: the kernel has {}, the agent means {}", what, kernel, wanted));
  }
  std::vector<std::string> out;
};

void compare_backends(const Lookup& found, const ServiceImage& image, Comparison& compare) {
  for (const auto& [backend, number] : image.backends) {
    const auto there = found.backends.find(number);
    if (there == found.backends.end()) continue;  // of another table
    const auto& octets = backend.address.octets;
    const auto& kernel = there->second.backend;
    if (there->second.usable && std::equal(octets.begin(), octets.end(), kernel.address) &&
        kernel.port == backend.port) {
      continue;
    }
    compare.out.push_back(
        there->second.usable
            ? fmt::format("backend {} has another address than {}", number, backend.address.to_string())
            : fmt::format("backend {} ({}) is not in svc_backends, or another service's", number,
                          backend.address.to_string()));
  }
}

}  // namespace

std::vector<std::string> differences(const Lookup& found, const Entry* entry, std::uint64_t version) {
  Comparison compare;
  if (found.number == 0) {
    if (entry && entry->placed) compare.out.emplace_back("svc_frontends has no such address, the agent means it to");
    return compare.out;
  }
  if (!entry) {
    compare.out.push_back(fmt::format("svc_frontends leads to service {}, the agent knows none there", found.number));
    return compare.out;
  }
  compare.same("service number", found.number, entry->number);
  if (found.number != entry->number) return compare.out;
  const auto& image = entry->image;
  if (found.verdict == Verdict::kDirect) {
    compare.out.push_back(fmt::format("svc_services has no {}", found.number));
    return compare.out;
  }
  compare.same<int>("algorithm", found.service.algorithm, image.algorithm);
  compare.same<std::uint32_t>("affinity", found.service.affinity_s, image.affinity_s);
  compare.same<std::uint32_t>("limit of connections", found.service.max_connections,
                              image.circuit_breaker.max_connections);
  compare.same<std::uint32_t>("limit of pending connections", found.service.max_pending,
                              image.circuit_breaker.max_pending);
  const auto wanted = image.by_version.find(version);
  const bool by_version = version != 0 && wanted != image.by_version.end();
  const auto& table = by_version ? wanted->second : image.table;
  compare.same("table", found.table, table.number);
  compare.same("slots", found.slots.size(), table.slots.size());
  if (found.slots.size() == table.slots.size()) {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < table.slots.size(); ++i) wrong += found.slots[i] != table.slots[i] ? 1 : 0;
    if (wrong > 0)
      compare.out.push_back(fmt::format("{} of {} slots lead elsewhere than meant", wrong, table.slots.size()));
  }
  compare_backends(found, image, compare);
  return compare.out;
}

}  // namespace cortexflow::compile
