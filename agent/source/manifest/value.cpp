// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/source/manifest/names.h"

namespace cortexflow::source {
namespace {

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool all(std::string_view text, bool (*is)(char)) { return !text.empty() && std::all_of(text.begin(), text.end(), is); }

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text;
}

bool is_int(std::string_view text) {
  text = without_sign(text);
  if (text.starts_with("0x")) {
    return all(text.substr(2), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  }
  if (text.starts_with("0b")) return all(text.substr(2), [](char c) { return c == '0' || c == '1'; });
  if (text.starts_with("0o")) text.remove_prefix(2);
  return !text.empty() && is_digit(text[0]) && all(text, [](char c) { return is_digit(c) || c == '_'; });
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float(std::string_view text) {
  text = without_sign(text);
  if (one_of(text, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})) return true;
  const auto exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    if (!all(without_sign(text.substr(exponent + 1)), is_digit)) return false;
    text = text.substr(0, exponent);
  }
  const auto dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  const std::string_view part = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  if (whole.empty()) return all(part, is_digit);
  return all(whole, is_digit) && (part.empty() || all(part, is_digit));
}

}  // namespace

const Value* Value::find(std::string_view wanted) const {
  for (const Value& item : items) {
    if (item.key == wanted) return &item;
  }
  return nullptr;
}

Value::Type plain_type(std::string_view text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return Value::Type::kNull;
  const char first = text[0];
  if (is_digit(first) || first == '-' || first == '+' || first == '.') {
    if (is_int(text)) return Value::Type::kInt;
    return is_float(text) ? Value::Type::kFloat : Value::Type::kString;
  }
  if (one_of(text, {"true", "True", "TRUE", "false", "False", "FALSE", "y",  "Y",  "yes", "Yes", "YES",
                    "n",    "N",    "no",   "No",    "NO",    "on",    "On", "ON", "off", "Off", "OFF"})) {
    return Value::Type::kBool;
  }
  return Value::Type::kString;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string made = "\"";
  for (const char c : text.substr(0, kShown)) {
    if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\') {
      made += c;
    } else {
      made += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return made + (text.size() > kShown ? "...\"" : "\"");
}

std::string printable(std::string_view text) {
  const bool prints = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
  return prints && text.size() <= 4096 ? std::string(text) : quoted(text);
}

std::string describe(const Value& value) {
  switch (value.type) {
    case Value::Type::kNull:
      return "nothing";
    case Value::Type::kList:
      return "a list";
    case Value::Type::kMap:
      return "a mapping";
    case Value::Type::kString:
      return quoted(value.text);
    case Value::Type::kBool:
      return fmt::format("the truth value {}", quoted(value.text));
    case Value::Type::kInt:
    case Value::Type::kFloat:
      return fmt::format("the number {}", quoted(value.text));
  }
  return "";
}

}  // namespace cortexflow::source
