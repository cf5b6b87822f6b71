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
  } else if (json.is_null()) {
    out << YAML::Null;
  } else {
    out << json.dump();  // numbers, true and false
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (const char octet : text) {
    if (octet >= 0x20 && octet <= 0x7e) {
      out += octet;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(octet));
    }
  }
  return out;
}

std::string cell(const ordered_json& row, const std::string& pointer) {
  const ordered_json::json_pointer at(pointer);
  if (!row.contains(at)) return "-";
  const auto& value = row.at(at);
  auto text = value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : json(value, -1);
  return text.empty() ? "-" : printable(text);
}

std::string size_text(std::uint64_t octets) {
  constexpr std::uint64_t kStep = 1000;
  constexpr std::string_view kUnits = "kMGTPE";
  if (octets < kStep) return std::to_string(octets);
  auto size = static_cast<double>(octets);
  std::size_t unit = 0;
  for (size /= kStep; size >= kStep - 0.05 && unit + 1 < kUnits.size(); size /= kStep) ++unit;
  return fmt::format("{:.1f}{}", size, kUnits.at(unit));
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
  out.SetOutputCharset(YAML::EscapeNonAscii);
  write_yaml(out, document);
  return std::string(out.c_str()) + "\n";
}

std::string json(const ordered_json& document, int indent) {
  return document.dump(indent, ' ', true, ordered_json::error_handler_t::replace);
}

std::string duration_text(std::int64_t nanoseconds) {
  const auto n = static_cast<double>(nanoseconds);
  if (n < 1e6) return fmt::format("{:.1f}us", n / 1e3);
  if (n < 1e9) return fmt::format("{:.1f}ms", n / 1e6);
  return fmt::format("{:.2f}s", n / 1e9);
}

std::string clock_text(const std::string& time, std::size_t digits) {
  constexpr std::size_t kDate = 11;  // 2006-01-02T
  constexpr std::size_t kClock = 8;  // 15:04:05
  return printable(time.size() < kDate + kClock ? time : time.substr(kDate, kClock + (digits == 0 ? 0 : digits + 1)));
}

}  // namespace cortexflow::cli
