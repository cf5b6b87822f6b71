// SPDX-License-Identifier: Apache-2.0
// Identities of workloads as numbers.  Pure.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "agent/model/service.h"

namespace cortexflow::compile {

using HashKey = std::array<std::uint64_t, 2>;

struct PolicyIdentity {
  std::string ns, service_account;
  model::Labels labels;                 // only those with keys that policies name
  std::set<model::PodPort> ports = {};  // likewise, with names
  bool managed = true;                  // false: no AuthorizationPolicy selects it or means it by a name
  bool unsure = false;  // it may be unmanaged, as its namespace can't be read: whatever refuses means it, both ways
  auto operator<=>(const PolicyIdentity&) const = default;
  // "shop/web app=web,version=v2", "shop/web unmanaged"
  [[nodiscard]] std::string to_string() const;
};

[[nodiscard]] PolicyIdentity identity_of(const model::Pod& pod, const std::set<std::string>& label_keys,
                                         const std::set<std::string>& port_names = {});

// What a pod, or its namespace where the pod says nothing, has said of itself: "enabled" (as if nothing), "disabled".
inline constexpr const char* kMeshLabel = "cortexflow.io/mesh";
// Null: neither says anything.
[[nodiscard]] const std::string* mesh_label(const model::Pod& pod, const model::Labels* of_namespace);

// SipHash-2-4 (Aumasson, Bernstein, 2012): with a key of its own for each machine nobody can choose labels that get
// another workload's number.
[[nodiscard]] std::uint64_t siphash(const HashKey& key, std::string_view text);

// Not below CF_POLICY_ID_FIRST.
[[nodiscard]] std::uint64_t identity_number(const HashKey& key, const PolicyIdentity& identity);

}  // namespace cortexflow::compile
