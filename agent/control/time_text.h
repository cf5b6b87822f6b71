// SPDX-License-Identifier: Apache-2.0
// Times and durations as text, in the API's parameters and JSON.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::control {

// RFC 3339 in UTC with nanoseconds.
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point time);

// "500us", "10ms", "2s", "5m", "1h"
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(const std::string& text);

// RFC 3339 with any offset, years 1970 to 2199, up to nine digits of a second.
[[nodiscard]] std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text);

// A time, or a duration before `now`; never before 1970.
[[nodiscard]] Result<std::chrono::system_clock::time_point> parse_since(const std::string& text,
                                                                        std::chrono::system_clock::time_point now);

}  // namespace cortexflow::control
