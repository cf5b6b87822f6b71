// SPDX-License-Identifier: Apache-2.0
// CRLReason (RFC 5280, 5.3.1), by the names that it has there.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace cortexflow::identity {

// Without those that a workload's certificate can't have (a hold, another authority's).
inline constexpr std::array<std::pair<std::string_view, int>, 6> kRevocationReasons{{{"unspecified", 0},
                                                                                     {"keyCompromise", 1},
                                                                                     {"affiliationChanged", 3},
                                                                                     {"superseded", 4},
                                                                                     {"cessationOfOperation", 5},
                                                                                     {"privilegeWithdrawn", 9}}};

[[nodiscard]] inline std::optional<int> parse_reason(std::string_view text) {
  for (const auto& [name, value] : kRevocationReasons) {
    if (name == text) return value;
  }
  return std::nullopt;
}

[[nodiscard]] inline std::string_view reason_text(int reason) {
  for (const auto& [name, value] : kRevocationReasons) {
    if (value == reason) return name;
  }
  return "unknown";
}

}  // namespace cortexflow::identity
