// SPDX-License-Identifier: Apache-2.0
#include "cli/redact.h"

#include <algorithm>
#include <array>

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
  const auto end = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_word) - text.begin());
  return std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '.') == 2 ? end : 0;
}

// How much of `text`, which begins behind a name, is the sign between name and value; 0: none.
std::size_t sign_size(std::string_view text, bool flag) {
  std::size_t at = 0;
  if (at < text.size() && (text[at] == '"' || text[at] == '\'')) ++at;
  const auto first = at;
  while (at < text.size() && is_space(text[at])) ++at;
  if (at < text.size() && (text[at] == ':' || text[at] == '=')) {
    ++at;
    while (at < text.size() && is_space(text[at])) ++at;
    return at;
  }
  return flag && at > first ? at : 0;
}

// Of a value: to its quote, else to the line's end (YAML), but to a space or comma in what is written in one line.
std::size_t value_size(std::string_view text, bool to_line_end) {
  if (text.empty()) return 0;
  if (text[0] == '"' || text[0] == '\'') {
    std::size_t at = 1;
    while (at < text.size() && text[at] != text[0]) at += text[at] == '\\' && text[0] == '"' ? 2 : 1;
    return std::min(at + 1, text.size());
  }
  const auto end = text.find_first_of(to_line_end ? "\r" : " \t,;&}\r");
  return std::min(end, text.size());
}

bool is_no_secret(std::string_view value) {
  constexpr std::array<std::string_view, 7> kNoSecrets{"", "true", "false", "null", "{}", "[]", "\"\""};
  return std::find(kNoSecrets.begin(), kNoSecrets.end(), value) != kNoSecrets.end() || value.starts_with('{') ||
         value.starts_with('[') || value.starts_with('|') || value.starts_with('>');
}

// "//user:password@" -> "//[redacted]@"
std::size_t user_size(std::string_view text) {
  if (!text.starts_with("//")) return 0;
  const auto end = text.find_first_of("@/ \"'", 2);
  return end != std::string_view::npos && end > 2 && text[end] == '@' ? end : 0;
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
    out += word;
    i += size;
    std::string lower(word);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    const bool bearer = lower == "bearer" || lower == "basic";
    if (!bearer && !names_secret(word)) continue;
    const auto behind = line.substr(i);
    const auto sign = bearer ? behind.find_first_not_of(" \t") : sign_size(behind, word.starts_with("--"));
    if (sign == 0 || sign == std::string_view::npos) continue;
    const bool first_in_line = line.find_first_not_of(" \t-\"'") + size == i;
    const bool yaml =
        !bearer && first_in_line && behind.substr(0, sign).find(':') != std::string_view::npos && !line.ends_with(',');
    const auto value = behind.substr(sign, value_size(behind.substr(sign), yaml));
    if (is_no_secret(value) || (bearer && value.size() < 8)) continue;
    out += behind.substr(0, sign);
    const bool quoted = value.front() == '"' || value.front() == '\'';
    out += quoted ? value.front() + std::string(kRedacted) + value.front() : kRedacted;
    i += sign + value.size();
  }
}

}  // namespace

bool names_secret(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') letters += static_cast<char>(c + ('a' - 'A'));
    if (c >= 'a' && c <= 'z') letters += c;
  }
  constexpr std::array<std::string_view, 9> kEnds{"password",   "passphrase", "passwd",      "secret",       "token",
                                                  "privatekey", "apikey",     "credentials", "authorization"};
  return std::any_of(kEnds.begin(), kEnds.end(), [&](auto end) { return letters.ends_with(end); });
}

std::string redacted(std::string_view text) {
  const auto whole = without_keys(text);
  std::string out;
  std::string_view left = whole;
  while (!left.empty()) {
    const auto end = std::min(left.find('\n'), left.size());
    add_line(out, left.substr(0, end));
    if (end < left.size()) out += '\n';
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return out;
}

void redact(ordered_json& document) {
  if (document.is_string()) {
    document = redacted(document.get<std::string>());
  } else if (document.is_array()) {
    for (auto& item : document) redact(item);
  } else if (document.is_object()) {
    const bool pair = document.contains("name") && document["name"].is_string() && document.contains("value");
    const bool secret = pair && names_secret(document["name"].get<std::string>());
    for (auto& [key, value] : document.items()) {
      const bool hidden = names_secret(key) || (secret && key == "value");
      if (hidden && value.is_string()) {
        value = kRedacted;
      } else {
        redact(value);
      }
    }
  }
}

}  // namespace cortexflow::cli
