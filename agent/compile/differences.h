// SPDX-License-Identifier: Apache-2.0
// Where the kernel's tables are not what the agent means them to be: somebody else wrote to them, or a write failed.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/compile/lookup.h"
#include "agent/compile/service_book.h"

namespace cortexflow::compile {

// `entry`: of the service that has the address by the agent's book; null: none has.  In words; none: they agree.
[[nodiscard]] std::vector<std::string> differences(const Lookup& found, const Entry* entry, std::uint64_t version);

}  // namespace cortexflow::compile
