// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cortexflow::cli {

// What /v1/dns/top and /v1/flows/top answered: what was counted and from when on, a blank line, the table, how many
// rows are left out.
[[nodiscard]] std::string lookup_top_text(const nlohmann::ordered_json& top);
[[nodiscard]] std::string flow_top_text(const nlohmann::ordered_json& top);
// Of these lines, those that are not rows.
inline constexpr std::size_t kTopOtherLines = 5;

}  // namespace cortexflow::cli
