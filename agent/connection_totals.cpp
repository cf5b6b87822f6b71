// SPDX-License-Identifier: Apache-2.0
#include "agent/connection_totals.h"

#include <algorithm>
#include <cstring>
#include <iterator>
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
  std::vector<sink::ServiceFigures*> ports;                       // whose each entry of the book is
  std::vector<std::pair<std::uint32_t, std::uint32_t>> backends;  // number, place in `ports`
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
    for (const auto& [backend, number] : entry.image.backends) {
      backends.emplace_back(number, static_cast<std::uint32_t>(ports.size()));
    }
    ports.push_back(&service);
  }
  // In bulk, and added up as numbers: one by one, 100,000 endpoints were as many system calls a scrape.
  std::sort(backends.begin(), backends.end());
  std::vector<cf_backend_load> sums(ports.size());
  tables.each("svc_load_be", [&](const void* key, const void* value) {
    std::pair<std::uint32_t, std::uint32_t> wanted{};
    std::memcpy(&wanted.first, key, sizeof wanted.first);
    const auto found = std::lower_bound(backends.begin(), backends.end(), wanted);
    if (found == backends.end() || found->first != wanted.first) return;
    cf_backend_load load{};
    std::memcpy(&load, value, sizeof load);
    auto& sum = sums[found->second];
    for (std::size_t i = 0; i < std::size(load.results); ++i) sum.results[i] += load.results[i];
    for (std::size_t i = 0; i < std::size(load.latency); ++i) sum.latency[i] += load.latency[i];
    sum.connect_us += load.connect_us;
  });
  for (std::size_t i = 0; i < ports.size(); ++i) add(*ports[i], sums[i]);
  return out;
}

}  // namespace cortexflow
