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

#include "bpf/abi/service.h"

namespace cortexflow::compile {

// A map by its name, a key's octets -> the value's.
using Find = std::function<std::optional<std::string>(std::string_view map, const std::string& key)>;

// As know_caller() has it.
struct Caller {
  std::uint64_t netns = 0;  // cookie; 0: not known
  std::uint64_t version = 0;
  std::uint64_t hash = 0;
  bool labelled = false;  // found in svc_callers
};

// `cgroups`: the ids of the caller's cgroup and of those above it, the nearest first.
[[nodiscard]] Caller know_caller(const Find& find, std::uint64_t netns, const std::vector<std::uint64_t>& cgroups);

struct LookupBackend {
  cf_backend backend{};
  std::uint64_t active = 0;
  bool usable = false;  // is in svc_backends, and this service's
};

enum class Verdict : std::uint8_t {
  kDirect,     // no service's address: nothing is translated
  kNoBackend,  // refused: the table is empty
  kBreaker,    // refused: as many connections as there may be are live
  kBroken,     // refused: the tables lead nowhere (CF_SVC_C_LOST)
  kTranslated,
};

struct Lookup {
  Verdict verdict = Verdict::kDirect;
  std::uint32_t number = 0;  // of the service
  cf_service service{};
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
