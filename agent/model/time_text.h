// SPDX-License-Identifier: Apache-2.0
// Times as text, as manifests, the API and its JSON have them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::model {

// RFC 3339 in UTC with nanoseconds.
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point time);

// RFC 3339 with any offset, years 1970 to 2199, up to nine digits of a second.
[[nodiscard]] std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text);

}  // namespace cortexflow::model
