// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/lookup.h"

#include "agent/base/octets.h"

namespace cortexflow::compile {
namespace {

constexpr std::uint64_t kNetnsHash = 0x9e3779b97f4a7c15ULL;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

template <typename Value, typename Key>
std::optional<Value> get(const Find& find, std::string_view map, const Key& key) {
  const auto octets = find(map, octets_of(key));
  return octets ? value_of<Value>(*octets) : std::nullopt;
}

void read_slots(const Find& find, std::uint32_t size, Lookup& out) {
  for (std::uint32_t i = 0; i < size; ++i) {
    const auto slot = get<cf_svc_slot>(find, "svc_slots", cf_svc_slot_key{out.table, i});
    out.slots.push_back(slot ? slot->backend : 0);
    if (!slot || out.backends.contains(slot->backend)) continue;
    auto& item = out.backends[slot->backend];
    if (const auto backend = get<cf_backend>(find, "svc_backends", slot->backend)) {
      item.backend = *backend;
      item.usable = backend->service == out.number;
    }
    if (const auto load = get<cf_backend_load>(find, "svc_load_be", slot->backend)) item.active = load->active;
  }
}

// The backend that the client keeps, if it still may.
void read_affinity(const Find& find, const Caller& caller, std::uint64_t now_ns, Lookup& out) {
  if (out.service.affinity_s == 0 || caller.netns == 0) return;
  const auto kept = get<cf_svc_affinity>(find, "svc_affinity", cf_svc_affinity_key{caller.netns, out.number, 0});
  if (!kept || now_ns - kept->last_ns > out.service.affinity_s * kNanosecondsPerSecond) return;
  const auto backend = get<cf_backend>(find, "svc_backends", kept->backend);
  if (!backend || backend->service != out.number || (backend->flags & CF_SVC_BACKEND_DRAINED)) return;
  out.kept = kept->backend;
  auto& item = out.backends[kept->backend];
  item.backend = *backend;
  item.usable = true;
  if (const auto load = get<cf_backend_load>(find, "svc_load_be", kept->backend)) item.active = load->active;
}

}  // namespace

Caller know_caller(const Find& find, std::uint64_t netns, const std::vector<std::uint64_t>& cgroups) {
  Caller caller{netns, 0, netns * kNetnsHash, false};
  auto known = get<cf_svc_caller>(find, "svc_callers", cf_svc_caller_key{netns, CF_SVC_CALLER_NETNS, 0});
  for (std::size_t i = 0; !known && i < cgroups.size(); ++i) {
    known = get<cf_svc_caller>(find, "svc_callers", cf_svc_caller_key{cgroups[i], CF_SVC_CALLER_CGROUP, 0});
  }
  if (!known) return caller;
  caller.version = known->version;
  caller.hash = known->hash;
  caller.labelled = true;
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
  read_slots(find, size, out);
  read_affinity(find, caller, now_ns, out);
  const auto load = get<cf_service_load>(find, "svc_load", out.number);
  if (load) out.load = *load;
  if (load && !out.by_version) out.cursor = load->cursor;
  out.verdict = Verdict::kTranslated;
  bool any = out.kept != 0;
  for (const auto& [number, backend] : out.backends) any = any || backend.usable;
  if (size == 0) {
    out.verdict = Verdict::kNoBackend;
  } else if (!load || !any) {
    out.verdict = Verdict::kBroken;
  } else if ((service->max_connections != 0 && load->active >= service->max_connections) ||
             (service->max_pending != 0 && load->pending >= service->max_pending)) {
    out.verdict = Verdict::kBreaker;
  }
  return out;
}

}  // namespace cortexflow::compile
