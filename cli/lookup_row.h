// SPDX-License-Identifier: Apache-2.0
// The table of dns watch, a line at a time.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cortexflow::cli {

[[nodiscard]] std::string lookup_header(bool wide);
// Of a lookup as the control API gives it.
[[nodiscard]] std::string lookup_row(const nlohmann::ordered_json& lookup, bool wide);
// Not answered, or not with what was asked for.
[[nodiscard]] bool is_bad(const nlohmann::ordered_json& lookup);

}  // namespace cortexflow::cli
