// SPDX-License-Identifier: Apache-2.0
// How cfcli shows a document: as a table, or as one JSON or YAML document.  Whatever it is given, what it makes is
// printable ASCII and line ends.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cortexflow::cli {

// Columns: heading and the JSON pointer of its value in a row.
using Columns = std::vector<std::pair<std::string, std::string>>;

// What lies at `pointer`, as a person reads it; "-" for nothing.
[[nodiscard]] std::string cell(const nlohmann::ordered_json& row, const std::string& pointer);
// `rows` has to be an array.
[[nodiscard]] std::string table(const nlohmann::ordered_json& rows, const Columns& columns);
[[nodiscard]] std::string yaml(const nlohmann::ordered_json& document);
// Indented by `indent`; on one line by -1.
[[nodiscard]] std::string json(const nlohmann::ordered_json& document, int indent);

// Every octet outside of 0x20..0x7e as \xNN: text from the network, from processes and from logs must not drive a
// terminal, and a line must stay one line.
[[nodiscard]] std::string printable(std::string_view text);

// "999", "12.3k", "4.6M": 1000 a step
[[nodiscard]] std::string size_text(std::uint64_t octets);

// "75.2us", "12.3ms", "1.20s"
[[nodiscard]] std::string duration_text(std::int64_t nanoseconds);
// HH:MM:SS and `digits` of a second (up to 9), of an RFC 3339 time in UTC.
[[nodiscard]] std::string clock_text(const std::string& time, std::size_t digits);

}  // namespace cortexflow::cli
