// SPDX-License-Identifier: Apache-2.0
// From one image of a service to the next: the smallest list of map writes, in an order in which every state in between
// answers every lookup with a backend of that service.  Pure.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "agent/compile/image.h"

namespace cortexflow::compile {

enum class Map : std::uint8_t {
  kFrontends,
  kServices,
  kServiceLoads,
  kSubsets,
  kSlots,
  kBackends,
  kBackendLoads,
};

// As bpftool and bpf/lib/service_maps.h name it.
[[nodiscard]] const char* map_name(Map map);

struct Operation {
  Map map{};
  bool erase = false;
  std::string key;    // octets, as in bpf/abi/service.h
  std::string value;  // empty where erased
  bool operator==(const Operation&) const = default;
};

// One service's step; null: it is not there before, or after.
struct Step {
  std::uint32_t service = 0;
  const ServiceImage* before = nullptr;
  const ServiceImage* after = nullptr;
};

// Writes of all steps, sorted into phases: backends, slots, subsets and services, frontends; then what is no longer
// pointed to: frontends, subsets and services, slots, backends.  A frontend that goes from one service to another is
// written, not erased.
[[nodiscard]] std::vector<Operation> operations(std::span<const Step> steps);

// For whoever reads the maps.
[[nodiscard]] cf_svc_address to_abi(const Frontend& frontend);
[[nodiscard]] Frontend from_abi(const cf_svc_address& address);

}  // namespace cortexflow::compile
