// SPDX-License-Identifier: Apache-2.0
// Lookups added up.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/dns_lookup.h"

namespace cortexflow::control {

// Latencies in nanoseconds, of first answers; empty without one.
struct TopFigures {
  std::uint64_t lookups = 0;
  double share = 0;  // of all that were counted, 0 to 1
  std::uint64_t failed = 0;
  std::uint64_t timeouts = 0;
  std::optional<std::int64_t> mean;
  std::optional<std::int64_t> p50;
  std::optional<std::int64_t> p99;
  std::optional<std::int64_t> max;

  // To sort by `column`, the largest first; -1 where there is none, and the same for all by "key".
  [[nodiscard]] std::int64_t rank(const std::string& column) const;
  [[nodiscard]] nlohmann::ordered_json to_json() const;
};

class TopRow {
 public:
  explicit TopRow(std::pmr::memory_resource& memory) : latencies_(&memory) {}

  void add(const model::DnsLookup& lookup);
  [[nodiscard]] std::uint64_t lookups() const { return lookups_; }
  // Sorts the latencies: once, when all are added.
  [[nodiscard]] TopFigures figures(std::uint64_t of_all);

 private:
  std::uint64_t lookups_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t timeouts_ = 0;
  std::pmr::vector<std::int64_t> latencies_;
};

}  // namespace cortexflow::control
