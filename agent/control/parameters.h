// SPDX-License-Identifier: Apache-2.0
// Values of URL query parameters.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::control {

using Parameters = std::multimap<std::string, std::string>;

// The parameters that a path takes: its own, each at most once; and filters by fields, as often as one likes, each also
// with "not." before it.
struct ParameterNames {
  std::vector<std::string> own;
  std::vector<std::string> filters = {};
};

// Refuses what isn't taken, and what may be given once and is given twice.
[[nodiscard]] Result<void> check_names(const Parameters& parameters, const ParameterNames& taken);

// The parameter's value, where it was given.
[[nodiscard]] std::optional<std::string> value_of(const Parameters& parameters, const std::string& name);
// The same, refused where it is missing or empty.
[[nodiscard]] Result<std::string> needed(const Parameters& parameters, const std::string& name);
[[nodiscard]] Result<bool> flag_of(const Parameters& parameters, const std::string& name, bool otherwise);
// All of it decimal digits, and no more than 32 bits.
[[nodiscard]] std::optional<std::uint32_t> number_of(const std::string& text);
// From 1 to `max`.
[[nodiscard]] Result<std::uint64_t> count_of(const Parameters& parameters, const std::string& name, std::uint64_t max,
                                             std::uint64_t otherwise);
[[nodiscard]] Result<std::string> choice_of(const Parameters& parameters, const std::string& name,
                                            const std::vector<std::string>& choices, const std::string& otherwise);

}  // namespace cortexflow::control
