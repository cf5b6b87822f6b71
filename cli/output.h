// SPDX-License-Identifier: Apache-2.0
// How cfcli shows a document: as a table, or as one JSON or YAML document.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cortexflow::cli {

// Columns: heading and the JSON pointer of its value in a row.
using Columns = std::vector<std::pair<std::string, std::string>>;

// What lies at `pointer`, as a person reads it; "-" for nothing.
[[nodiscard]] std::string cell(const nlohmann::ordered_json& row, const std::string& pointer);
[[nodiscard]] std::string table(const nlohmann::ordered_json& rows, const Columns& columns);
[[nodiscard]] std::string yaml(const nlohmann::ordered_json& document);

// Control characters replaced: text from the network must not drive a terminal.
[[nodiscard]] std::string printable(std::string text);

// "75.2us", "12.3ms", "1.20s"
[[nodiscard]] std::string duration_text(std::int64_t nanoseconds);

}  // namespace cortexflow::cli
