// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/names.h"

#include <algorithm>

namespace cortexflow::source {
namespace {

constexpr std::size_t kLabelMax = 63;
constexpr std::size_t kSubdomainMax = 253;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_lower_or_digit(char c) { return is_lower(c) || is_digit(c); }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

// What is_edge allows at both ends, and `inner` besides in between.
bool consists_of(std::string_view text, bool (*is_edge)(char), std::string_view inner) {
  return !text.empty() && is_edge(text.front()) && is_edge(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_edge(c) || inner.find(c) != std::string_view::npos; });
}

}  // namespace

bool is_dns1123_label(std::string_view text) {
  return text.size() <= kLabelMax && consists_of(text, is_lower_or_digit, "-");
}

bool is_dns1035_label(std::string_view text) { return is_dns1123_label(text) && is_lower(text.front()); }

bool is_dns1123_subdomain(std::string_view text) {
  if (text.size() > kSubdomainMax) return false;
  while (true) {
    const auto dot = text.find('.');
    if (!consists_of(text.substr(0, dot), is_lower_or_digit, "-")) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_label_key(std::string_view text) {
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    if (!is_dns1123_subdomain(text.substr(0, slash))) return false;
    text.remove_prefix(slash + 1);
  }
  return text.size() <= kLabelMax && consists_of(text, is_alphanumeric, "-_.");
}

bool is_label_value(std::string_view text) {
  return text.empty() || (text.size() <= kLabelMax && consists_of(text, is_alphanumeric, "-_."));
}

bool is_iana_service_name(std::string_view text) {
  return text.size() <= 15 && consists_of(text, is_lower_or_digit, "-") && text.find("--") == std::string_view::npos &&
         std::any_of(text.begin(), text.end(), is_lower);
}

}  // namespace cortexflow::source
