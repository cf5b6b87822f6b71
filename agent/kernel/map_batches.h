// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

namespace cortexflow::kernel {

// A hash map's entries, many with each system call; `take` is given how many, and keys and values one behind the other.
// False: the kernel can't (before 5.6, or another kind of map), and nothing was given.  An entry that is made or
// deleted meanwhile may be left out.
[[nodiscard]] bool each_batch(int map,
                              const std::function<void(std::size_t count, const char* keys, const char* values)>& take);

}  // namespace cortexflow::kernel
