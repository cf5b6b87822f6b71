// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::source {

// Nothing for what is no JSON, or nested deeper than kJsonDepthMax, or of more values than may be.
inline constexpr std::size_t kJsonDepthMax = 64;
[[nodiscard]] std::optional<nlohmann::json> parse_json(
    std::string_view text, std::size_t values_max = std::numeric_limits<std::size_t>::max());

// For a URL's query (RFC 3986): all but unreserved characters by number.
[[nodiscard]] std::string escaped(std::string_view text);

// A text of an API server's Status: its "message", say.  Empty where `body` is none, or lacks it.
[[nodiscard]] std::string status_text(std::string_view body, const char* key);

}  // namespace cortexflow::source
