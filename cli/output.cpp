// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

void write_yaml(YAML::Emitter& out, const ordered_json& json) {
  if (json.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      out << YAML::Key << key << YAML::Value;
      write_yaml(out, value);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    out << YAML::BeginSeq;
    for (const auto& value : json) write_yaml(out, value);
    out << YAML::EndSeq;
  } else if (json.is_string()) {
    out << YAML::DoubleQuoted << json.get<std::string>();
  } else {
    out << json.dump();
  }
}

}  // namespace

std::string printable(std::string text) {
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::string cell(const ordered_json& row, const std::string& pointer) {
  const ordered_json::json_pointer at(pointer);
  if (!row.contains(at)) return "-";
  const auto& value = row.at(at);
  auto text = value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : value.dump();
  return text.empty() ? "-" : printable(std::move(text));
}

std::string table(const ordered_json& rows, const Columns& columns) {
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& [heading, pointer] : columns) lines[0].push_back(heading);
  for (const auto& row : rows) {
    lines.emplace_back();
    for (const auto& [heading, pointer] : columns) lines.back().push_back(cell(row, pointer));
  }
  std::vector<std::size_t> widths(columns.size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i + 1 < line.size(); ++i) out += fmt::format("{:<{}}  ", line[i], widths[i]);
    out += line.back() + "\n";
  }
  return out;
}

std::string yaml(const ordered_json& document) {
  YAML::Emitter out;
  write_yaml(out, document);
  return std::string(out.c_str()) + "\n";
}

std::string duration_text(std::int64_t nanoseconds) {
  const auto n = static_cast<double>(nanoseconds);
  if (n < 1e6) return fmt::format("{:.1f}us", n / 1e3);
  if (n < 1e9) return fmt::format("{:.1f}ms", n / 1e6);
  return fmt::format("{:.2f}s", n / 1e9);
}

}  // namespace cortexflow::cli
