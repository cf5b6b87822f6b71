// SPDX-License-Identifier: Apache-2.0
// How one check ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace cortexflow::health {

enum class CheckResult : std::uint8_t {
  kHealthy,
  kRefused,      // connecting
  kTimeout,      // connecting, or the answer
  kUnreachable,  // no route, or a router or the host itself said so
  kClosed,       // before the answer was there
  kStatus,       // an answer, but not the one that is expected
  kProtocol,     // no answer of that protocol
  kNotAsked,     // a failure of this machine: says nothing about the backend
};

// As a metric's label.
inline constexpr std::array<const char*, 8> kResultNames{"healthy", "refused", "timeout",  "unreachable",
                                                         "closed",  "status",  "protocol", "not_asked"};
inline constexpr std::size_t kResults = kResultNames.size();

struct Outcome {
  CheckResult result = CheckResult::kHealthy;
  std::string words;  // "status 500, expected 200-399"
  bool operator==(const Outcome&) const = default;
};

// Of an errno that connecting, sending or receiving gave.
[[nodiscard]] Outcome outcome_of_errno(int number);

}  // namespace cortexflow::health
