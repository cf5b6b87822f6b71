// SPDX-License-Identifier: Apache-2.0
// Maps that outlive the agent: pinned under their names, and taken over by the next one if they have the same layout.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"

struct bpf_map;
struct bpf_object;

namespace cortexflow::kernel {

// Of an object; without libbpf's own, such as read-only data.
[[nodiscard]] std::vector<bpf_map*> maps_of(const bpf_object* object);

// Before loading.  All of them, or none: false where one is not there or has another's layout.
[[nodiscard]] bool reuse_pinned_maps(const std::vector<bpf_map*>& maps, const std::string& directory);

// After loading, in the place of what is there.
[[nodiscard]] Result<void> pin_maps(const std::vector<bpf_map*>& maps, const std::string& directory);

}  // namespace cortexflow::kernel
