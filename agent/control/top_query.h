// SPDX-License-Identifier: Apache-2.0
// What is asked of /v1/dns/top.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/lookup_filter.h"
#include "agent/control/parameters.h"

namespace cortexflow::control {

struct TopQuery {
  static constexpr std::uint64_t kLimitMax = 1000;

  std::string by = "name";
  std::string sort = "lookups";
  std::optional<std::chrono::system_clock::time_point> since;
  std::uint64_t limit = 20;
  LookupFilter filter;

  // What there can be a row for each of.
  [[nodiscard]] static const std::vector<std::string>& keys();
  // Columns to sort by: numbers with the largest first, "key" by the alphabet.
  [[nodiscard]] static const std::vector<std::string>& columns();
  [[nodiscard]] static const ParameterNames& parameters();

  // Refuses an outcome that is no lookup's: a table that is always empty would look like an answer.
  [[nodiscard]] static Result<TopQuery> parse(const Parameters& parameters, std::chrono::system_clock::time_point now);
};

// Is a lookup of its own: one that this node asked, and not a further answer to one that was counted already.
[[nodiscard]] bool counts_as_lookup(model::DnsOutcome outcome);

}  // namespace cortexflow::control
