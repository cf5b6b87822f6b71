// SPDX-License-Identifier: Apache-2.0
// The kernel's counts of how connections to a backend went (bpf/abi/service.h), by name and added up.
#pragma once

#include <array>
#include <cstdint>

#include "bpf/abi/service.h"

namespace cortexflow::compile {

// By enum cf_svc_result.
inline constexpr std::array<const char*, CF_SVC_R_MAX> kResultNames{
    "refused", "unreachable", "timed_out", "unsent", "abandoned", "established", "ended", "reset", "broken"};

// Never established, and neither because the caller gave up at once nor because it had no way to send (no route in its
// own network namespace, no local port): those say nothing of the backend.
[[nodiscard]] inline std::uint64_t failed_connects(const cf_backend_load& load) {
  return load.results[CF_SVC_R_REFUSED] + load.results[CF_SVC_R_UNREACHABLE] + load.results[CF_SVC_R_TIMED_OUT];
}

// Established, and then ended by a failure.
[[nodiscard]] inline std::uint64_t broken_connections(const cf_backend_load& load) {
  return load.results[CF_SVC_R_RESET] + load.results[CF_SVC_R_BROKEN];
}

}  // namespace cortexflow::compile
