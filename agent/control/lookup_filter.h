// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/control/record_filter.h"
#include "agent/model/dns_lookup.h"

namespace cortexflow::control {

// A timeout, or an answer with an rcode other than NOERROR and NXDOMAIN.
[[nodiscard]] bool failed(const model::DnsLookup& lookup);

// name (glob), type, rcode, outcome, server (address or address:port), workload, pid, min_latency, failed
using LookupFilter = RecordFilter<model::DnsLookup>;
template <>
const std::vector<std::string>& LookupFilter::fields();
template <>
Result<LookupFilter::Test> LookupFilter::make_test(const std::string& field, const std::string& value);

}  // namespace cortexflow::control
