// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "agent/flow/workload_resolver.h"
#include "agent/model/flow.h"
#include "bpf/abi/flow.h"

namespace cortexflow::flow {

// The kernel's record, whose enums were checked, as the rest of the agent sees it; names that the configuration knows
// are still to come.  `clock_offset` is what to add to CLOCK_MONOTONIC to get the system's time.
[[nodiscard]] model::Flow build(const cf_flow& record, std::chrono::nanoseconds clock_offset,
                                WorkloadResolver& workloads);

// What policy refused, or would have; likewise.  The packet is the flow's beginning and end.
[[nodiscard]] model::Flow build(const cf_policy_event& event, std::chrono::nanoseconds clock_offset,
                                WorkloadResolver& workloads);

}  // namespace cortexflow::flow
