// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/json_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace cortexflow::source {
namespace {

// Whoever walks or frees a tree does so by recursion; and two octets may become a hundred.
bool fits(std::string_view text, std::size_t values_max) {
  std::size_t depth = 0;
  std::size_t values = 1;  // as many at least as a parser makes
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      in_text = c != '"';
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kJsonDepthMax || ++values > values_max) return false;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    } else if (c == ',' && ++values > values_max) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<nlohmann::json> parse_json(std::string_view text, std::size_t values_max) {
  if (!fits(text, values_max)) return std::nullopt;
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string status_text(std::string_view body, const char* key) {
  const auto status = parse_json(body);
  if (!status || !status->is_object()) return {};
  const auto text = status->find(key);
  return text != status->end() && text->is_string() ? text->get<std::string>() : std::string();
}

}  // namespace cortexflow::source
