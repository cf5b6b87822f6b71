// SPDX-License-Identifier: Apache-2.0
// Times and durations as text, in the API's parameters and JSON.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/model/time_text.h"

namespace cortexflow::control {

using model::parse_time;
using model::time_text;

// "500us", "10ms", "2s", "5m", "1h"
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(const std::string& text);

// A time, or a duration before `now`; never before 1970.
[[nodiscard]] Result<std::chrono::system_clock::time_point> parse_since(const std::string& text,
                                                                        std::chrono::system_clock::time_point now);

}  // namespace cortexflow::control
