// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/simulate.h"

#include <algorithm>

namespace cortexflow::compile {
namespace {

void round_robin(const Lookup& lookup, std::uint64_t callers, Simulation& out) {
  const std::uint64_t size = lookup.slots.size();
  for (std::uint64_t i = 0; i < size; ++i) {
    // How often the cursor comes by this slot.
    const auto first = (i + size - lookup.cursor % size) % size;
    const auto times = callers > first ? (callers - first - 1) / size + 1 : 0;
    if (times > 0) out.callers[lookup.slots[i]] += static_cast<double>(times);
  }
  out.exact = true;
  out.assumes = "nobody else calls in between";
}

void by_share(const Lookup& lookup, std::uint64_t callers, Simulation& out) {
  const double each = static_cast<double>(callers) / static_cast<double>(lookup.slots.size());
  for (const auto number : lookup.slots) out.callers[number] += each;
}

// As least_connections() in bpf/lib/service_choice.h, each caller staying.
void least_connections(const Lookup& lookup, std::uint64_t callers, Simulation& out) {
  const std::uint64_t size = lookup.slots.size();
  std::map<std::uint32_t, std::uint64_t> active;
  for (const auto& [number, backend] : lookup.backends) active[number] = backend.active;
  for (std::uint64_t call = 0; call < callers; ++call) {
    const auto start = lookup.cursor + call;
    auto best = lookup.slots[start % size];
    auto fewest = UINT64_MAX;
    for (std::uint64_t i = 0; i < CF_SVC_LEAST_SCAN && i < size; ++i) {
      const auto number = lookup.slots[(start + i) % size];
      if (number != 0 && active[number] < fewest) {
        fewest = active[number];
        best = number;
      }
    }
    ++active[best];
    ++out.callers[best];
  }
  out.assumes = "an expectation: all of them stay connected, and nobody else comes or goes";
}

void by_hash(const Lookup& lookup, const Caller& caller, bool same, std::uint64_t callers, Simulation& out) {
  if (!same) {
    by_share(lookup, callers, out);
    out.assumes = "an expectation: each caller keeps to one backend, and many callers spread as the table's shares";
    return;
  }
  out.callers[lookup.slots[caller.hash % lookup.slots.size()]] = static_cast<double>(callers);
  out.exact = true;
  out.assumes = "the backends stay as they are";
}

}  // namespace

Simulation simulate(const Lookup& lookup, const Caller& caller, bool same, std::uint64_t callers) {
  Simulation out;
  if (lookup.verdict != Verdict::kTranslated) {
    out.refused = lookup.verdict == Verdict::kDirect ? 0 : static_cast<double>(callers);
    out.exact = true;
    return out;
  }
  if (const auto most = lookup.service.max_connections; most != 0) {
    const auto room = most - std::min<std::uint64_t>(most, lookup.load.active);
    out.breaker_refuses = callers - std::min<std::uint64_t>(callers, room);
  }
  if (lookup.kept != 0 && same) {
    out.callers[lookup.kept] = static_cast<double>(callers);
    out.exact = true;
    out.assumes = "its affinity lasts";
    return out;
  }
  switch (static_cast<cf_svc_algorithm>(lookup.service.algorithm)) {
    case CF_SVC_ROUND_ROBIN:
      round_robin(lookup, lookup.service.affinity_s != 0 && same ? 1 : callers, out);
      break;
    case CF_SVC_HASH:
      by_hash(lookup, caller, same, callers, out);
      break;
    case CF_SVC_LEAST_CONNECTIONS:
      least_connections(lookup, lookup.service.affinity_s != 0 && same ? 1 : callers, out);
      break;
    case CF_SVC_LEAST_LATENCY:
      by_share(lookup, callers, out);
      out.assumes = "an expectation: all backends answer equally soon; one that answers later gets fewer";
      break;
    default:
      by_share(lookup, callers, out);
      out.assumes = "an expectation: each call is drawn by lot";
      break;
  }
  if (lookup.service.affinity_s != 0) {
    if (same && out.callers.size() == 1) {
      out.callers.begin()->second = static_cast<double>(callers);  // its first choice, kept
    } else {
      out.assumes += "; each caller's first call, later ones keep its backend";
    }
  }
  for (auto it = out.callers.begin(); it != out.callers.end();) {
    const auto backend = lookup.backends.find(it->first);
    if (backend != lookup.backends.end() && backend->second.usable) {
      ++it;
      continue;
    }
    out.exact = false;
    out.assumes = "the table leads nowhere for some; they look again";
    it = out.callers.erase(it);
  }
  return out;
}

}  // namespace cortexflow::compile
