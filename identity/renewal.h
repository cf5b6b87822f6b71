// SPDX-License-Identifier: Apache-2.0
// When a certificate is renewed.
#pragma once

#include <chrono>

namespace cortexflow::identity {

// At half its lifetime, earlier or later by up to a twentieth of the lifetime so that what began together does not
// renew together; and never later than 7 days before its end where half of its lifetime is longer than that. `jitter`
// is from 0 to 1, drawn by the caller.
[[nodiscard]] std::chrono::system_clock::time_point renewal_time(std::chrono::system_clock::time_point not_before,
                                                                 std::chrono::system_clock::time_point not_after,
                                                                 double jitter);

// From 0 to 1, another each time.
[[nodiscard]] double draw_jitter();

}  // namespace cortexflow::identity
