// SPDX-License-Identifier: Apache-2.0
// What bpf/lib/service_choice.h finds for a caller, read from the same tables.  Pure: the tables come through `Find`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/ip_address.h"
#include "bpf/abi/service.h"

namespace cortexflow::compile {

// A map by its name, a key's octets -> the value's.
using Find = std::function<std::optional<std::string>(std::string_view map, const std::string& key)>;

// As know_caller() has it.
struct Caller {
  std::uint64_t client = 0;  // as in cf_svc_affinity_key; 0: not known
  std::uint64_t version = 0;
  std::uint64_t hash = 0;
  bool labelled = false;   // found in svc_callers
  bool hash_known = true;  // else only the kernel knows: by a network namespace that nobody could name
  bool by_packet = false;  // served by bpf/mesh/redirect: it has no socket that could be followed
};

// A caller whose sockets are seen.  `cgroups`: the ids of its cgroup and of those above it, the nearest first.
[[nodiscard]] Caller know_caller(const Find& find, std::uint64_t netns, const std::vector<std::uint64_t>& cgroups);
// A caller that is known by its packets.
[[nodiscard]] Caller know_caller(const Find& find, const model::IpAddress& address);

struct LookupBackend {
  cf_backend backend{};
  std::uint64_t active = 0;
  std::uint32_t latency_us = 0;  // of connects, as it has decayed by now; 0: not measured lately
  std::uint64_t cost = 0;        // bpf/abi/service_cost.h
  bool usable = false;           // is in svc_backends, and this service's
  bool unreachable = false;      // for a caller that is known by its packets: a loopback, or of another family
  [[nodiscard]] bool on_probation() const { return (backend.flags & CF_SVC_BACKEND_PROBATION) != 0; }
};

enum class Verdict : std::uint8_t {
  kDirect,       // no service's address: nothing is translated
  kNoBackend,    // refused: the table is empty
  kBreaker,      // refused: as many connections as there may be are live
  kPending,      // refused: as many as may be are not established yet
  kBroken,       // refused: the tables lead nowhere (CF_SVC_C_LOST)
  kUnreachable,  // refused: no packet of the caller's could be sent to any of the backends
  kTranslated,
};

struct Lookup {
  Verdict verdict = Verdict::kDirect;
  std::uint32_t number = 0;  // of the service
  cf_service service{};
  bool connects = false;        // calls are connections: counted, and limited
  bool limits_pending = false;  // and those that are not established yet too
  cf_service_load load{};
  std::uint64_t cursor = 0;  // of the table: whose turn it is
  bool by_version = false;   // the table is the one for callers of that version
  std::uint32_t table = 0;
  std::vector<std::uint32_t> slots;  // of the table: backend numbers; 0: there is no such slot
  std::map<std::uint32_t, LookupBackend> backends;
  std::uint32_t kept = 0;  // by affinity: the backend that this client had lately
};

// `now_ns`: CLOCK_MONOTONIC.
[[nodiscard]] Lookup look_up(const Find& find, const cf_svc_address& address, const Caller& caller,
                             std::uint64_t now_ns);

}  // namespace cortexflow::compile
