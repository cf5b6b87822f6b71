// SPDX-License-Identifier: Apache-2.0
#include "identity/dns_name.h"

#include <algorithm>
#include <cctype>

namespace cortexflow::identity {
namespace {

constexpr std::size_t kNameMax = 253;
constexpr std::size_t kLabelMax = 63;

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > kLabelMax || label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

bool is_dns_name(std::string_view name) {
  if (name.size() > kNameMax) return false;
  if (name.starts_with("*.")) {
    name.remove_prefix(2);
    if (name.find('.') == std::string_view::npos) return false;  // of a whole top-level domain
  }
  while (true) {
    const auto dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool dns_name_allowed(std::string_view pattern, std::string_view name) {
  if (same_name(pattern, name)) return true;
  const auto dot = name.find('.');
  return pattern.starts_with("*.") && dot != std::string_view::npos && same_name(pattern.substr(1), name.substr(dot));
}

}  // namespace cortexflow::identity
