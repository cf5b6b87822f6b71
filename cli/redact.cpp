// SPDX-License-Identifier: Apache-2.0
#include "cli/redact.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/source/kubernetes/json_text.h"
#include "cli/secret_name.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

// "-----BEGIN EC PRIVATE KEY-----" ... "-----END EC PRIVATE KEY-----", over lines, or with "\n" written out.
std::string without_keys(std::string_view text) {
  constexpr std::string_view kBegin = "PRIVATE KEY-----";
  constexpr std::string_view kEnd = "-----END";
  std::string out;
  for (auto at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin)) {
    const auto body = at + kBegin.size();
    const auto end = std::min(text.find(kEnd, body), text.size());
    out += text.substr(0, body);
    out += kRedacted;
    text.remove_prefix(end);
    // "-----END EC PRIVATE KEY-----" itself is passed over.
    const auto tail = std::min(text.find(kBegin), text.size());
    const auto past = std::min(tail + kBegin.size(), text.size());
    out += text.substr(0, past);
    text.remove_prefix(past);
  }
  return out += text;
}

// Three parts of base64url, of which the first begins as JSON does: {"
std::size_t web_token_size(std::string_view text) {
  if (!text.starts_with("eyJ")) return 0;
  auto end = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_word) - text.begin());
  while (text[end - 1] == '.') --end;  // of a sentence
  return std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '.') == 2 ? end : 0;
}

// How much of `text`, which begins behind a name, is the sign between name and value; 0: none.
std::size_t sign_size(std::string_view text, bool flag) {
  std::size_t at = 0;
  while (at < text.size() && text[at] == '\\') ++at;  // JSON in a text of JSON
  if (at < text.size() && (text[at] == '"' || text[at] == '\'')) ++at;
  const auto first = at;
  while (at < text.size() && is_space(text[at])) ++at;
  if (at < text.size() && (text[at] == ':' || text[at] == '=')) {
    ++at;
    while (at < text.size() && is_space(text[at])) ++at;
    return at;
  }
  if (flag && at > first) return at;
  // "name": "PASSWORD", "value": and the arguments "--password",
  if (first == 0 || at >= text.size() || text[at] != ',') return 0;
  ++at;
  while (at < text.size() && is_space(text[at])) ++at;
  if (flag) return at;
  constexpr std::string_view kMarks = "\\\"' \t";
  const auto word = std::min(text.find_first_not_of(kMarks, at), text.size());
  if (!text.substr(word).starts_with("value")) return 0;
  const auto colon = text.find_first_not_of(kMarks, word + 5);
  if (colon == std::string_view::npos || text[colon] != ':') return 0;
  return std::min(text.find_first_not_of(" \t", colon + 1), text.size());
}

// Of a value: to its quote, else to the line's end (YAML), but to a space or comma in what is written in one line.
std::size_t value_size(std::string_view text, bool to_line_end) {
  if (text.empty()) return 0;
  if (text.starts_with("\\\"")) {
    const auto end = text.find("\\\"", 2);
    return end == std::string_view::npos ? text.size() : end + 2;
  }
  if (text[0] == '"' || text[0] == '\'') {
    std::size_t at = 1;
    const auto escaped = [&] { return text[0] == '"' ? text[at] == '\\' : text.substr(at, 2) == "''"; };
    while (at < text.size() && (text[at] != text[0] || escaped())) at += escaped() ? 2 : 1;
    return std::min(at + 1, text.size());
  }
  if (text[0] == '[') return std::min(text.find(']'), text.size() - 1) + 1;
  const auto end = text.find_first_of(to_line_end ? "\r" : " \t,;&}\r");
  return std::min(end, text.size());
}

// Of the header's value, which has spaces ("Basic dXNlcg=="): to its quote, to that before the header's name, else to
// the line's end.
std::size_t header_size(std::string_view text, char before) {
  const bool quoted = before == '"' || before == '\'';
  if (!quoted || text.empty() || text[0] == '"' || text[0] == '\'' || text[0] == '\\') return value_size(text, true);
  return std::min(text.find(before), text.size());
}

bool is_no_secret(std::string_view value) {
  constexpr std::array<std::string_view, 7> kNoSecrets{"", "true", "false", "null", "{}", "[]", "\"\""};
  if (std::find(kNoSecrets.begin(), kNoSecrets.end(), value) != kNoSecrets.end()) return true;
  // What follows in further lines, or has names of its own.
  const auto behind = value.substr(1);
  if (value[0] == '|' || value[0] == '>') return behind.find_first_not_of("+-123456789 \t") == std::string_view::npos;
  if (value[0] == '{') return behind.empty() || behind[0] == '"' || behind[0] == ' ';
  return value[0] == '[' && (behind.empty() || behind[0] == '{');
}

// "//user:password@" -> "//[redacted]@"
std::size_t user_size(std::string_view text) {
  if (!text.starts_with("//")) return 0;
  const auto end = std::min(text.find_first_of("/ \"'", 2), text.size());
  const auto at = text.substr(0, end).rfind('@');
  return at != std::string_view::npos && at > 2 ? at : 0;
}

void add_line(std::string& out, std::string_view line) {
  for (std::size_t i = 0; i < line.size();) {
    const auto rest = line.substr(i);
    if (const auto size = user_size(rest); size > 0) {
      out += std::string("//") + kRedacted;
      i += size;
      continue;
    }
    if (!is_word(line[i])) {
      out += line[i++];
      continue;
    }
    if (const auto size = web_token_size(rest); size > 0) {
      out += kRedacted;
      i += size;
      continue;
    }
    const auto size = static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_word) - rest.begin());
    const auto word = rest.substr(0, size);
    const char before = i == 0 ? ' ' : line[i - 1];
    out += word;
    i += size;
    std::string lower(word);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    const bool bearer = lower == "bearer" || lower == "basic";
    if (!bearer && !names_secret(word)) continue;
    const auto behind = line.substr(i);
    const auto sign = bearer ? behind.find_first_not_of(" \t") : sign_size(behind, word.starts_with('-'));
    if (sign == 0 || sign == std::string_view::npos) continue;
    const bool first_in_line = line.find_first_not_of(" \t-\"'") + size == i;
    const bool yaml =
        !bearer && first_in_line && behind.substr(0, sign).find(':') != std::string_view::npos && !line.ends_with(',');
    const auto value = behind.substr(sign, lower.ends_with("authorization") ? header_size(behind.substr(sign), before)
                                                                            : value_size(behind.substr(sign), yaml));
    if (is_no_secret(value) || (bearer && value.size() < 8)) continue;
    out += behind.substr(0, sign);
    if (value.starts_with("\\\"")) {
      out += fmt::format("\\\"{}\\\"", kRedacted);
      i += sign + value.size();
      continue;
    }
    const bool quoted = value.front() == '"' || value.front() == '\'';
    out += quoted ? value.front() + std::string(kRedacted) + value.front() : kRedacted;
    i += sign + value.size();
  }
}

// What lines below one of YAML bear its secret.
struct Block {
  enum class Kind { kNone, kScalar, kContinued, kValue, kItem };
  Kind kind = Kind::kNone;
  std::size_t column = 0;  // of the name

  // kScalar: "password: |"; kContinued: "password:", and what goes on below; kValue: "- name: PASSWORD", whose value is
  // next; kItem: "- --password", likewise.
  static Block begun_by(std::string_view line) {
    const auto first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    const bool item = line.substr(first).starts_with("- ");
    const auto column = item ? std::min(line.find_first_not_of(" \t\"'", first + 1), line.size())
                             : std::min(line.find_first_not_of("\"'", first), line.size());
    const auto rest = line.substr(column);
    const auto size = static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_word) - rest.begin());
    const auto name = rest.substr(0, size);
    const auto behind = rest.substr(size);
    if (item && name.starts_with('-') && names_secret(name) &&
        behind.find_first_not_of("\"' \t\r") == std::string_view::npos) {
      return {Kind::kItem, first};
    }
    const auto sign = sign_size(behind, false);
    if (sign == 0 || behind.substr(0, sign).find(':') == std::string_view::npos) return {};
    const auto value = behind.substr(sign);
    if (name == "name") {
      const auto end = value.find_last_not_of("\"' \t\r,");
      const auto begin = value.find_first_not_of("\"'");
      if (end == std::string_view::npos || !names_secret(value.substr(begin, end + 1 - begin))) return {};
      return {Kind::kValue, column};
    }
    if (!names_secret(name) || line.ends_with(',')) return {};
    return {value.starts_with('|') || value.starts_with('>') ? Kind::kScalar : Kind::kContinued, column};
  }

  [[nodiscard]] bool has(std::string_view line) const {
    const auto first = line.find_first_not_of(" \t");
    if (kind == Kind::kNone || first == std::string_view::npos) return kind == Kind::kScalar;
    const auto text = line.substr(first);
    const bool item = text.starts_with("- ");
    if (kind == Kind::kItem) return first == column && item;
    if (kind == Kind::kValue) return first == column && (text.starts_with("value:") || text.starts_with("\"value\":"));
    if (kind == Kind::kScalar) return first > column;
    if (first < column || (first == column && !item)) return false;
    const bool has_names = text.find(": ") != std::string_view::npos || text.ends_with(':');
    return !has_names && text.find_first_of("{}[]") == std::string_view::npos;
  }

  // The line without what it bears; kValue and kItem end with it, unless the value goes on below.
  void add(std::string& out, std::string_view line) {
    const auto first = std::min(line.find_first_not_of(" \t"), line.size());
    out += line.substr(0, first);
    const auto text = line.substr(first);
    if (text.empty()) return;
    if (text.starts_with("- ")) out += "- ";
    if (kind == Kind::kValue) {
      const auto colon = text.find(':');
      out += text.substr(0, colon + 1);
      out += ' ';
      const auto value = text.substr(std::min(text.find_first_not_of(" \t", colon + 1), text.size()));
      kind = value.starts_with('|') || value.starts_with('>') ? Kind::kScalar : Kind::kContinued;
      if (kind == Kind::kScalar) {
        out += value;
        return;
      }
    } else if (kind == Kind::kItem) {
      kind = text.substr(2).starts_with('|') || text.substr(2).starts_with('>') ? Kind::kScalar : Kind::kNone;
    }
    out += kRedacted;
  }
};

}  // namespace

std::string redacted(std::string_view text) {
  // A document in one text, as annotations have it, has its own names.
  if (text.starts_with('{') || text.starts_with('[')) {
    auto document = source::parse_json(text) ? ordered_json::parse(text, nullptr, false) : ordered_json();
    if (document.is_structured()) {
      redact(document);
      return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
             (text.ends_with('\n') ? "\n" : "");
    }
  }
  const auto whole = without_keys(text);
  std::string out;
  Block block;
  std::string_view left = whole;
  while (!left.empty()) {
    const auto end = std::min(left.find('\n'), left.size());
    const auto line = left.substr(0, end);
    if (block.has(line)) {
      block.add(out, line);
    } else {
      add_line(out, line);
      block = Block::begun_by(line);
    }
    if (end < left.size()) out += '\n';
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return out;
}

}  // namespace cortexflow::cli
