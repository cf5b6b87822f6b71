// SPDX-License-Identifier: Apache-2.0
#include "agent/connection_totals.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "agent/compile/connection_results.h"

namespace cortexflow {
namespace {

void add(sink::ServiceFigures& to, const cf_backend_load& load) {
  for (std::size_t i = 0; i < compile::kResultNames.size(); ++i)
    to.results[compile::kResultNames[i]] += load.results[i];
  to.latency.resize(CF_SVC_LATENCY_BUCKETS);
  for (std::size_t i = 0; i < to.latency.size(); ++i) to.latency[i] += load.latency[i];
  to.latency_sum_s += static_cast<double>(load.connect_us) / 1e6;
}

}  // namespace

std::vector<double> connect_latency_bounds() {
  std::vector<double> out;
  out.reserve(CF_SVC_LATENCY_BUCKETS - 1);
  for (int i = 0; i < CF_SVC_LATENCY_BUCKETS - 1; ++i) {
    out.push_back(static_cast<double>(std::uint64_t{CF_SVC_LATENCY_FIRST_US} << static_cast<unsigned>(i)) / 1e6);
  }
  return out;
}

void ConnectionTotals::retire(const model::ObjectName& service, std::uint32_t backend,
                              const kernel::ServiceTables& tables) {
  add(retired_[service], tables.value<cf_backend_load>("svc_load_be", backend));
}

std::map<model::ObjectName, sink::ServiceFigures> ConnectionTotals::read(const compile::ServiceBook& book,
                                                                         const kernel::ServiceTables& tables) const {
  std::map<model::ObjectName, sink::ServiceFigures> out;
  std::vector<std::pair<std::uint32_t, sink::ServiceFigures*>> backends;  // by number: whose it is
  for (const auto& [key, entry] : book.entries()) {
    auto [at, fresh] = out.try_emplace(key.service);
    auto& service = at->second;
    if (const auto retired = retired_.find(key.service); fresh && retired != retired_.end()) service = retired->second;
    service.ns = key.service.ns;
    service.name = key.service.name;
    const auto load = tables.value<cf_service_load>("svc_load", entry.number);
    const auto& breaker = entry.image.circuit_breaker;
    service.active += load.active;
    service.pending += load.pending;
    service.refused += load.refused + load.refused_pending;
    service.breaker = service.breaker || breaker.max_connections != 0 || breaker.max_pending != 0;
    service.breaker_open = service.breaker_open ||
                           (breaker.max_connections != 0 && load.active >= breaker.max_connections) ||
                           (breaker.max_pending != 0 && load.pending >= breaker.max_pending);
    for (const auto& [backend, number] : entry.image.backends) backends.emplace_back(number, &service);
  }
  std::sort(backends.begin(), backends.end());
  // In bulk: one by one, 100,000 endpoints were as many system calls a scrape.
  tables.each("svc_load_be", [&](const void* key, const void* value) {
    std::uint32_t number = 0;
    std::memcpy(&number, key, sizeof number);
    const auto service = std::lower_bound(backends.begin(), backends.end(), number,
                                          [](const auto& entry, std::uint32_t wanted) { return entry.first < wanted; });
    if (service == backends.end() || service->first != number) return;
    cf_backend_load load{};
    std::memcpy(&load, value, sizeof load);
    add(*service->second, load);
  });
  return out;
}

}  // namespace cortexflow
