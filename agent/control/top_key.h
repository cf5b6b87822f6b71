// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/model/dns_lookup.h"

namespace cortexflow::control {

// Which row of a top `by` name, server, process, workload or type a lookup belongs to.  Names without regard to case;
// a process is known by its name alone, so that a program that runs often is one row.
[[nodiscard]] std::string top_key(const model::DnsLookup& lookup, const std::string& by);

}  // namespace cortexflow::control
