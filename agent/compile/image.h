// SPDX-License-Identifier: Apache-2.0
// What stands in the kernel's tables for each service, and how a plan gets its place among them.  Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/compile/service_plan.h"

namespace cortexflow::compile {

// svc_frontends' key.
struct Frontend {
  model::IpAddress address;
  std::uint16_t port = 0;
  model::Protocol protocol = model::Protocol::kTcp;
  auto operator<=>(const Frontend&) const = default;
};

struct TableImage {
  std::uint32_t number = 0;
  std::vector<std::uint32_t> slots;  // backend numbers
  bool operator==(const TableImage&) const = default;
};

// All entries of one service port in one family.
struct ServiceImage {
  std::vector<Frontend> frontends;  // sorted
  cf_svc_algorithm algorithm = CF_SVC_ROUND_ROBIN;
  std::uint32_t affinity_s = 0;
  model::CircuitBreaker circuit_breaker{};
  model::Protocol protocol = model::Protocol::kTcp;
  std::uint16_t owner = 0;  // owner_of() the service; 0: an agent before did not note it
  std::map<Backend, std::uint32_t> backends;
  std::set<Backend> drained;  // or without weight: of these, in no table; they stay for the connections that they have
  std::set<Backend> probation;  // likewise of these: one connection at a time
  TableImage table;
  std::map<std::uint64_t, TableImage> by_version;  // key: fnv1a of the version
  bool operator==(const ServiceImage&) const = default;
};

// The next numbers to give out; they only grow.
struct Numbers {
  std::uint32_t service = 1;
  std::uint32_t table = 1;
  std::uint32_t backend = 1;
};

// The plan's entries: those that `before` has keep their numbers and places, so that the difference is small.
// Frontends in `taken` are left out.
[[nodiscard]] ServiceImage place(const ServicePlan& plan, const std::vector<Frontend>& frontends,
                                 const ServiceImage* before, Numbers& numbers);

// Tells services apart that want the same address.  16 bits have room in the tables as they are; two services that they
// don't tell apart are as if nothing had been noted.
[[nodiscard]] std::uint16_t owner_of(const model::ObjectName& service);

[[nodiscard]] Frontend frontend_of(const ServicePlan& plan, std::size_t index);

// The new contents of a table that has `before` and shall have `wanted`.  Where both have each backend at most once,
// their order says nothing and the survivors stay where they are; else every slot is as wanted.
[[nodiscard]] std::vector<std::uint32_t> keep_places(const std::vector<std::uint32_t>& before,
                                                     const std::vector<std::uint32_t>& wanted);

}  // namespace cortexflow::compile
