// SPDX-License-Identifier: Apache-2.0
#include "identity/spiffe_id.h"

#include <algorithm>

namespace cortexflow::identity {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kTextMax = 2048;
constexpr std::size_t kTrustDomainMax = 255;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_other(char c) { return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'; }

Result<void> check_segment(std::string_view segment) {
  if (segment.empty()) return fail("the path has an empty segment, or ends in a slash");
  if (segment == "." || segment == "..") return fail("the path has a segment \"{}\"", segment);
  const bool fits =
      std::all_of(segment.begin(), segment.end(), [](char c) { return is_lower(c) || is_upper(c) || is_other(c); });
  if (!fits) return fail("the path has characters other than letters, digits, dots, dashes and underscores");
  return {};
}

}  // namespace

Result<void> check_trust_domain(std::string_view name) {
  if (name.empty()) return fail("the trust domain is empty");
  if (name.size() > kTrustDomainMax) return fail("the trust domain is longer than {} octets", kTrustDomainMax);
  if (!std::all_of(name.begin(), name.end(), [](char c) { return is_lower(c) || is_other(c); })) {
    return fail("the trust domain has characters other than lower-case letters, digits, dots, dashes and underscores");
  }
  return {};
}

Result<SpiffeId> SpiffeId::parse(std::string_view text) {
  if (text.size() > kTextMax) return fail("the SPIFFE ID is longer than {} octets", kTextMax);
  if (!text.starts_with(kScheme)) return fail("the SPIFFE ID does not begin with {}", kScheme);
  const auto rest = text.substr(kScheme.size());
  const auto slash = rest.find('/');
  if (auto checked = check_trust_domain(rest.substr(0, slash)); !checked) {
    return tl::make_unexpected(std::move(checked.error()));
  }
  if (slash == std::string_view::npos) return fail("the SPIFFE ID has no path: it names a trust domain, no workload");
  for (auto at = slash; at != std::string_view::npos;) {
    const auto next = rest.find('/', at + 1);
    const auto segment = rest.substr(at + 1, next == std::string_view::npos ? next : next - at - 1);
    if (auto checked = check_segment(segment); !checked) return tl::make_unexpected(std::move(checked.error()));
    at = next;
  }
  return SpiffeId(text);
}

std::string_view SpiffeId::trust_domain() const {
  const auto rest = std::string_view(text_).substr(kScheme.size());
  return rest.substr(0, rest.find('/'));
}

std::string_view SpiffeId::path() const {
  return std::string_view(text_).substr(kScheme.size() + trust_domain().size());
}

}  // namespace cortexflow::identity
