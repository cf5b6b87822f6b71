// SPDX-License-Identifier: Apache-2.0
// What an operator may set on top of the manifests, checked against them.  Pure: each call answers the service's new
// override, or why it can't be.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/service_override.h"
#include "agent/state/snapshot.h"

namespace cortexflow::state {

inline constexpr std::size_t kOverridesMax = 4096;          // services that have one
inline constexpr std::uint32_t kWeightMax = 1000;           // as TrafficPolicy's
inline constexpr std::size_t kOverrideTargetsMax = 16'384;  // weights and drained backends of one service

struct OverrideRefusal {
  enum class Kind : std::uint8_t { kUnknown, kInvalid, kFull };
  Kind kind{};
  Error error;
};
template <typename T>
using Overridden = tl::expected<T, OverrideRefusal>;

// Targets are the names of subsets of the service's policy, and backends: ADDRESS:PORT, ADDRESS (all its ports), or the
// name of a pod behind the service.
using Weights = std::vector<std::pair<std::string, std::uint32_t>>;
[[nodiscard]] Overridden<model::ServiceOverride> set_weights(const Snapshot& snapshot, const model::ObjectName& service,
                                                             model::ServiceOverride now, const Weights& weights);
// As the manifests have them again.
[[nodiscard]] Overridden<model::ServiceOverride> reset_weights(const Snapshot& snapshot,
                                                               const model::ObjectName& service,
                                                               model::ServiceOverride now);
[[nodiscard]] Overridden<model::ServiceOverride> set_drained(const Snapshot& snapshot, const model::ObjectName& service,
                                                             model::ServiceOverride now, const std::string& backend,
                                                             bool drained);

// Takes out what the manifests no longer have: the service, the subset, the backend.  A target that comes back later,
// perhaps as another pod's address, does not find an old setting.  Answers what went, in words.
[[nodiscard]] std::vector<std::string> drop_gone(const Snapshot& snapshot, const model::ObjectName& service,
                                                 model::ServiceOverride& override_now);

}  // namespace cortexflow::state
