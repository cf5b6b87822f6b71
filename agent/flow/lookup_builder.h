// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "agent/base/result.h"
#include "agent/flow/workload_resolver.h"
#include "agent/model/dns_lookup.h"
#include "bpf/abi/dns.h"

namespace cortexflow::flow {

// The kernel's record as the rest of the agent sees it.  `clock_offset` is what to add to CLOCK_MONOTONIC to get the
// system's time.  An answer without a query starts when it ended and took no time.
// Fails for a name that can't be read and for an outcome or a transport that the ABI does not have.
Result<model::DnsLookup> build(const cf_dns_lookup& record, std::chrono::nanoseconds clock_offset,
                               WorkloadResolver& workloads);

}  // namespace cortexflow::flow
