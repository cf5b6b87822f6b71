// SPDX-License-Identifier: Apache-2.0
// The kernel's stamps are of CLOCK_MONOTONIC; people read the system's clock.
#pragma once

#include <time.h>

#include <chrono>

namespace cortexflow {

// What to add to CLOCK_MONOTONIC to get the system's clock.  Ask anew now and then: that one may be set.
[[nodiscard]] inline std::chrono::nanoseconds clock_offset() {
  timespec mono{};
  timespec real{};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &real);
  return std::chrono::seconds(real.tv_sec - mono.tv_sec) + std::chrono::nanoseconds(real.tv_nsec - mono.tv_nsec);
}

}  // namespace cortexflow
