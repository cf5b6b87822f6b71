// SPDX-License-Identifier: Apache-2.0
// Where processes are, as /proc says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::kernel {

// Its path in cgroup v2's hierarchy: "/system.slice/foo.service".
[[nodiscard]] Result<std::string> cgroup_of_process(std::uint32_t pid);
// A name under /run/netns, or a path, as a path.
[[nodiscard]] std::string netns_path(const std::string& netns);
[[nodiscard]] std::string netns_of_process(std::uint32_t pid);  // a path
// One that is in this network namespace, the one with the lowest number.  Nothing: none is.
[[nodiscard]] std::optional<std::uint32_t> process_in_netns(const std::string& netns);
// One that is in this cgroup itself.
[[nodiscard]] std::optional<std::uint32_t> process_in_cgroup(const std::string& directory);

}  // namespace cortexflow::kernel
