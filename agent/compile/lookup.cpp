// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/lookup.h"

#include <netinet/in.h>

#include <algorithm>

#include "agent/base/octets.h"
#include "bpf/abi/service_cost.h"

namespace cortexflow::compile {
namespace {

constexpr std::uint64_t kNetnsHash = 0x9e3779b97f4a7c15ULL;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000, kNanosecondsPerMillisecond = 1'000'000;

template <typename Value, typename Key>
std::optional<Value> get(const Find& find, std::string_view map, const Key& key) {
  const auto octets = find(map, octets_of(key));
  return octets ? value_of<Value>(*octets) : std::nullopt;
}

void take(const cf_svc_caller& known, Caller& caller) {
  caller.version = known.version;
  caller.hash = known.hash;
  caller.labelled = true;
}

// What a packet of that family can't be sent to, as redirect_choose() in bpf/lib/redirect_flow.h has it.
bool is_unreachable(const cf_backend& backend, const cf_svc_address& service) {
  const auto address_of = [](const __u8* octets) {
    model::IpAddress address;
    std::copy_n(octets, address.octets.size(), address.octets.begin());
    return address;
  };
  const auto address = address_of(static_cast<const __u8*>(backend.address));
  constexpr std::size_t kFirstV4Octet = 12;
  const bool loopback =
      address.is_v4() ? address.octets[kFirstV4Octet] == 127 : address == *model::IpAddress::parse("::1");
  return loopback || address.is_v4() != address_of(static_cast<const __u8*>(service.address)).is_v4();
}

class Reader {
 public:
  Reader(const Find& find, const cf_svc_address& address, const Caller& caller, std::uint64_t now_ns)
      : find_(find), address_(address), caller_(caller), now_ns_(now_ns) {}

  void slots(std::uint32_t size, Lookup& out) const {
    for (std::uint32_t i = 0; i < size; ++i) {
      const auto slot = get<cf_svc_slot>(find_, "svc_slots", cf_svc_slot_key{out.table, i});
      out.slots.push_back(slot ? slot->backend : 0);
      if (slot) backend(slot->backend, out);
    }
  }

  // The backend that the client keeps, if it still may.
  void affinity(Lookup& out) const {
    if (out.service.affinity_s == 0 || caller_.client == 0) return;
    const auto kept = get<cf_svc_affinity>(find_, "svc_affinity", cf_svc_affinity_key{caller_.client, out.number, 0});
    if (!kept || now_ns_ - kept->last_ns > out.service.affinity_s * kNanosecondsPerSecond) return;
    const auto there = get<cf_backend>(find_, "svc_backends", kept->backend);
    if (!there || there->service != out.number || (there->flags & CF_SVC_BACKEND_DRAINED)) return;
    out.kept = kept->backend;
    backend(kept->backend, out);
  }

 private:
  void backend(std::uint32_t number, Lookup& out) const {
    if (out.backends.contains(number)) return;
    auto& item = out.backends[number];
    if (const auto backend = get<cf_backend>(find_, "svc_backends", number)) {
      item.backend = *backend;
      item.usable = backend->service == out.number;
      item.unreachable = caller_.by_packet && is_unreachable(*backend, address_);
    }
    const auto load = get<cf_backend_load>(find_, "svc_load_be", number);
    const auto now_ms = static_cast<std::uint32_t>(now_ns_ / kNanosecondsPerMillisecond);
    item.cost = load ? cf_svc_cost(load->cost, load->active, now_ms) : UINT64_MAX;
    if (!load) return;
    item.active = load->active;
    item.latency_us = cf_svc_cost_latency(load->cost, now_ms);
  }

  const Find& find_;
  const cf_svc_address& address_;
  const Caller& caller_;
  std::uint64_t now_ns_;
};

Verdict refusal(const Lookup& lookup, bool has_load) {
  bool usable = false, reachable = false;
  for (const auto& [number, backend] : lookup.backends) {
    usable = usable || backend.usable;
    reachable = reachable || (backend.usable && !backend.unreachable);
  }
  const auto& service = lookup.service;
  if (lookup.slots.empty()) return Verdict::kNoBackend;
  if (!has_load || !usable) return Verdict::kBroken;
  if (lookup.connects && service.max_connections != 0 && lookup.load.active >= service.max_connections) {
    return Verdict::kBreaker;
  }
  if (lookup.limits_pending && lookup.load.pending >= service.max_pending) return Verdict::kPending;
  return reachable ? Verdict::kTranslated : Verdict::kUnreachable;
}

}  // namespace

Caller know_caller(const Find& find, std::uint64_t netns, const std::vector<std::uint64_t>& cgroups) {
  Caller caller;
  caller.client = netns;
  caller.hash = netns * kNetnsHash;
  auto known = get<cf_svc_caller>(find, "svc_callers", cf_svc_caller_key{netns, CF_SVC_CALLER_NETNS, 0});
  for (std::size_t i = 0; !known && i < cgroups.size(); ++i) {
    known = get<cf_svc_caller>(find, "svc_callers", cf_svc_caller_key{cgroups[i], CF_SVC_CALLER_CGROUP, 0});
  }
  if (known) take(*known, caller);
  caller.hash_known = known || netns != 0;
  return caller;
}

Caller know_caller(const Find& find, const model::IpAddress& address) {
  Caller caller;
  caller.by_packet = true;
  caller.client = caller.hash = cf_svc_address_id(address.octets.data());
  const cf_svc_caller_key key{caller.client, CF_SVC_CALLER_ADDRESS, 0};
  if (const auto known = get<cf_svc_caller>(find, "svc_callers", key)) take(*known, caller);
  return caller;
}

Lookup look_up(const Find& find, const cf_svc_address& address, const Caller& caller, std::uint64_t now_ns) {
  Lookup out;
  const auto frontend = get<cf_svc_frontend>(find, "svc_frontends", address);
  if (!frontend) return out;
  out.number = frontend->service;
  const auto service = get<cf_service>(find, "svc_services", frontend->service);
  if (!service) return out;
  out.service = *service;
  out.table = service->table;
  auto size = service->size;
  if ((service->flags & CF_SVC_BY_VERSION) && caller.version != 0) {
    const cf_svc_subset_key key{caller.version, out.number, 0};
    if (const auto subset = get<cf_svc_subset>(find, "svc_subsets", key)) {
      out.by_version = true;
      out.table = subset->table;
      size = subset->size;
      out.cursor = subset->cursor;
    }
  }
  const Reader reader(find, address, caller, now_ns);
  reader.slots(size, out);
  reader.affinity(out);
  const auto load = get<cf_service_load>(find, "svc_load", out.number);
  if (load) out.load = *load;
  if (load && !out.by_version) out.cursor = load->cursor;
  out.connects = address.protocol == IPPROTO_TCP || !caller.by_packet;
  const auto watched = get<std::uint32_t>(find, "svc_watched", std::uint32_t{0}).value_or(0);
  out.limits_pending =
      out.service.max_pending != 0 && address.protocol == IPPROTO_TCP && watched != 0 && !caller.by_packet;
  out.verdict = refusal(out, load.has_value());
  return out;
}

}  // namespace cortexflow::compile
