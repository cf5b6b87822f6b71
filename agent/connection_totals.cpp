// SPDX-License-Identifier: Apache-2.0
#include "agent/connection_totals.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "agent/base/octets.h"
#include "agent/compile/connection_results.h"

namespace cortexflow {
namespace {

constexpr std::size_t kSweptAtOnce = 256;

void add(sink::ServiceFigures& to, const cf_backend_load& load) {
  if (to.results.empty()) {
    for (const auto* name : compile::kResultNames) to.results.emplace_back(name, 0);
  }
  for (std::size_t i = 0; i < compile::kResultNames.size(); ++i) to.results[i].second += load.results[i];
  to.latency.resize(CF_SVC_LATENCY_BUCKETS);
  for (std::size_t i = 0; i < to.latency.size(); ++i) to.latency[i] += load.latency[i];
  to.latency_sum_us += load.connect_us;
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

ConnectionTotals::Placed ConnectionTotals::placed(const compile::ServiceBook& book,
                                                  const std::set<model::ObjectName>& services) {
  Placed out;
  const auto& entries = book.entries();
  for (const auto& name : services) {
    for (auto it = entries.lower_bound(compile::first_port(name)); it != entries.end() && it->first.service == name;
         ++it) {
      if (!it->second.placed) continue;
      out.ports[it->second.number] = name;
      for (const auto& [backend, number] : it->second.image.backends) out.backends[number] = {name, it->second.number};
    }
  }
  return out;
}

void ConnectionTotals::retire(const Placed& before, const Placed& after, const compile::ServiceBook& book,
                              kernel::ServiceTables& tables) {
  for (const auto& [number, service] : before.ports) {
    if (after.ports.contains(number)) continue;
    const auto load = tables.value<cf_service_load>("svc_load", number);
    retired_[service].refused += load.refused + load.refused_pending;
  }
  for (const auto& [number, of] : before.backends) {
    if (!after.backends.contains(number)) lingering_[number] = {of};
  }
  const auto room = std::min(kLingeringMax, compile::kLimits.backends - book.usage().backends);
  while (lingering_.size() > room) {
    const auto oldest = lingering_.begin();
    end(oldest, tables.value<cf_backend_load>("svc_load_be", oldest->first), tables);
  }
}

ConnectionTotals::LingeringBackends::iterator ConnectionTotals::end(LingeringBackends::iterator at,
                                                                    const cf_backend_load& load,
                                                                    kernel::ServiceTables& tables) {
  add(retired_[at->second.of.service], load);
  (void)tables.erase("svc_load_be", octets_of(at->first));  // stays as a stray, which the next agent takes out
  return lingering_.erase(at);
}

// One that closes leaves the live ones a moment before its end is counted: only who is seen without twice is through.
void ConnectionTotals::sweep(kernel::ServiceTables& tables) {
  auto at = lingering_.upper_bound(swept_);
  for (std::size_t i = 0; i < kSweptAtOnce && at != lingering_.end(); ++i) {
    swept_ = at->first;
    const auto load = tables.value<cf_backend_load>("svc_load_be", at->first);
    if (load.active == 0 && at->second.quiet) {
      at = end(at, load, tables);
      continue;
    }
    at->second.quiet = load.active == 0;
    ++at;
  }
  if (at == lingering_.end()) swept_ = 0;
}

void ConnectionTotals::forget(const model::ObjectName& service, kernel::ServiceTables& tables) {
  retired_.erase(service);
  std::erase_if(lingering_, [&](const auto& one) {
    const bool gone = one.second.of.service == service;
    if (gone) (void)tables.erase("svc_load_be", octets_of(one.first));
    return gone;
  });
}

std::map<model::ObjectName, sink::ServiceFigures> ConnectionTotals::read(const compile::ServiceBook& book,
                                                                         const kernel::ServiceTables& tables) const {
  auto out = retired_;
  struct Group {
    sink::ServiceFigures* service;
    bool counts_active;  // the service port that would have them in its count has gone
    cf_backend_load sum;
  };
  std::vector<Group> groups;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> backends;  // number, place in `groups`
  for (const auto& [key, entry] : book.entries()) {
    auto& service = out[key.service];
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
      backends.emplace_back(number, static_cast<std::uint32_t>(groups.size()));
    }
    groups.push_back({&service, false, {}});
  }
  for (const auto& [number, one] : lingering_) {
    backends.emplace_back(number, static_cast<std::uint32_t>(groups.size()));
    groups.push_back({&out[one.of.service], book.find(one.of.port) == nullptr, {}});
  }
  // In bulk, and added up as numbers: one by one, 100,000 endpoints were as many system calls a scrape.
  std::sort(backends.begin(), backends.end());
  tables.each("svc_load_be", [&](const void* key, const void* value) {
    std::pair<std::uint32_t, std::uint32_t> wanted{};
    std::memcpy(&wanted.first, key, sizeof wanted.first);
    const auto found = std::lower_bound(backends.begin(), backends.end(), wanted);
    if (found == backends.end() || found->first != wanted.first) return;
    cf_backend_load load{};
    std::memcpy(&load, value, sizeof load);
    auto& sum = groups[found->second].sum;
    for (std::size_t i = 0; i < std::size(load.results); ++i) sum.results[i] += load.results[i];
    for (std::size_t i = 0; i < std::size(load.latency); ++i) sum.latency[i] += load.latency[i];
    sum.connect_us += load.connect_us;
    sum.active += load.active;
  });
  for (const auto& group : groups) {
    add(*group.service, group.sum);
    if (group.counts_active) group.service->active += group.sum.active;
  }
  for (auto& [name, service] : out) {
    service.ns = name.ns;
    service.name = name.name;
  }
  return out;
}

}  // namespace cortexflow
