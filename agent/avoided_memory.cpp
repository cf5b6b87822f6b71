// SPDX-License-Identifier: Apache-2.0
#include "agent/avoided_memory.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "agent/base/octets.h"
#include "agent/compile/shares.h"

namespace cortexflow {
namespace {

using std::chrono::nanoseconds;
using Time = std::chrono::steady_clock::time_point;  // CLOCK_MONOTONIC

std::uint64_t owner_of(const model::ObjectName& service) { return compile::fnv1a(service.ns + "/" + service.name); }

std::uint64_t owner_of(const model::ObjectName& service, std::uint16_t port) {
  return compile::fnv1a(fmt::format("{}/{}/{}", service.ns, service.name, port));
}

cf_svc_avoided_key key_of(std::uint64_t owner, const model::IpAddress& address, std::uint16_t port,
                          model::Protocol protocol, cf_svc_avoided_by by) {
  cf_svc_avoided_key key{};
  key.owner = owner;
  std::copy(address.octets.begin(), address.octets.end(), std::begin(key.address));
  key.port = port;
  key.protocol = protocol == model::Protocol::kUdp ? IPPROTO_UDP : IPPROTO_TCP;
  key.by = by;
  return key;
}

cf_svc_avoided value_with(Time when, const std::string& reason) {
  cf_svc_avoided value{};
  value.when_ns = static_cast<std::uint64_t>(std::chrono::duration_cast<nanoseconds>(when.time_since_epoch()).count());
  reason.copy(static_cast<char*>(value.reason), sizeof value.reason - 1);
  return value;
}

Time when_of(const cf_svc_avoided& value) {
  return Time(std::chrono::duration_cast<Time::duration>(nanoseconds(value.when_ns)));
}

std::string reason_of(const cf_svc_avoided& value) {
  return {std::begin(value.reason), std::find(std::begin(value.reason), std::end(value.reason), '\0')};
}

model::IpAddress address_of(const cf_svc_avoided_key& key) {
  model::IpAddress address;
  std::copy(std::begin(key.address), std::end(key.address), address.octets.begin());
  return address;
}

}  // namespace

void AvoidedMemory::read(const kernel::ServiceTables& tables) {
  for (const auto& [key, value] : tables.read("svc_avoided")) {
    left_[key] = value;
    left_of_[value_of<cf_svc_avoided_key>(key)->owner].push_back(key);
  }
}

AvoidedMemory::Ejected AvoidedMemory::take_ejected(const model::Service& service) {
  Ejected out;
  for (const auto& port : service.ports) {
    const auto left = left_of_.extract(owner_of(service.name, port.port));
    for (const auto& octets : left ? left.mapped() : std::vector<std::string>{}) {
      const auto key = value_of<cf_svc_avoided_key>(octets);
      const auto value = value_of<cf_svc_avoided>(left_.at(octets));
      if (!key || !value || key->by != CF_SVC_AVOIDED_BY_EJECTION || value->state > CF_SVC_AVOIDED_PROBATION) continue;
      const auto address = address_of(*key);
      health::ConnectionCounts base;
      base.entry = value->backend;
      base.established = value->established;
      base.failed = value->failed;
      base.ended = value->ended;
      base.broken = value->broken;
      out[{service.name, port.port, model::Protocol::kTcp, address.is_v4()}][{address, key->port}] = {
          static_cast<health::OutlierState>(value->state), value->in_row, when_of(*value), reason_of(*value), base};
    }
  }
  return out;
}

ServiceHealth::States AvoidedMemory::take_unhealthy(const model::ObjectName& service) {
  ServiceHealth::States out;
  const auto left = left_of_.extract(owner_of(service));
  for (const auto& octets : left ? left.mapped() : std::vector<std::string>{}) {
    const auto key = value_of<cf_svc_avoided_key>(octets);
    const auto value = value_of<cf_svc_avoided>(left_.at(octets));
    if (!key || !value || key->by != CF_SVC_AVOIDED_BY_CHECK || value->result >= health::kResults) continue;
    const auto protocol = key->protocol == IPPROTO_UDP ? model::Protocol::kUdp : model::Protocol::kTcp;
    out[{address_of(*key), key->port, protocol}] = {
        health::Health::kUnhealthy, when_of(*value),
        health::Outcome{static_cast<health::CheckResult>(value->result), reason_of(*value)}};
  }
  return out;
}

Result<void> AvoidedMemory::keep(const model::ObjectName& service, const Ejected& ejected,
                                 const ServiceHealth::States& unhealthy, kernel::ServiceTables& tables) {
  static_assert(static_cast<int>(health::OutlierState::kEjected) == CF_SVC_AVOIDED_OUT);
  static_assert(static_cast<int>(health::OutlierState::kProbation) == CF_SVC_AVOIDED_PROBATION);
  Entries wanted;
  for (const auto& [port, memories] : ejected) {
    for (const auto& [backend, memory] : memories) {
      auto value = value_with(memory.until, memory.reason);
      value.in_row = memory.in_row;
      value.state = static_cast<__u8>(memory.state);
      value.backend = memory.base.entry;
      value.established = memory.base.established;
      value.failed = memory.base.failed;
      value.ended = memory.base.ended;
      value.broken = memory.base.broken;
      wanted[octets_of(key_of(owner_of(service, port.port), backend.address, backend.port, port.protocol,
                              CF_SVC_AVOIDED_BY_EJECTION))] = octets_of(value);
    }
  }
  for (const auto& [backend, state] : unhealthy) {
    const auto last = state.last.value_or(health::Outcome{});
    auto value = value_with(state.since, last.words);
    value.state = CF_SVC_AVOIDED_OUT;
    value.result = static_cast<__u8>(last.result);
    wanted[octets_of(key_of(owner_of(service), backend.address, backend.port, backend.protocol,
                            CF_SVC_AVOIDED_BY_CHECK))] = octets_of(value);
  }
  const auto found = kept_.find(service);
  if (found == kept_.end() && wanted.empty()) return {};
  Result<void> done;
  const auto note = [&](Result<void> one) {
    if (!one && done) done = std::move(one);
    return done.has_value();
  };
  auto& kept = kept_[service];
  for (const auto& [key, value] : kept) {
    if (!wanted.contains(key)) note(tables.erase("svc_avoided", key));
  }
  for (const auto& [key, value] : wanted) {
    left_.erase(key);
    const auto had = kept.find(key);
    if (had == kept.end() || had->second != value) note(tables.put("svc_avoided", key, value));
  }
  if (wanted.empty()) {
    kept_.erase(service);
  } else {
    kept = std::move(wanted);
  }
  return done;
}

Result<void> AvoidedMemory::drop_unclaimed(kernel::ServiceTables& tables) {
  Result<void> done;
  for (const auto& [key, value] : left_) {
    if (auto erased = tables.erase("svc_avoided", key); !erased) done = std::move(erased);
  }
  left_.clear();
  left_of_.clear();
  return done;
}

}  // namespace cortexflow
