// SPDX-License-Identifier: Apache-2.0
// Lookups added up.  Latencies are of first answers.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/control/latency_sample.h"
#include "agent/control/lookup_filter.h"
#include "agent/control/record_top.h"
#include "agent/model/dns_lookup.h"

namespace cortexflow::control {

struct LookupFigures {
  std::uint64_t lookups = 0;
  double share = 0;  // of all that were counted, 0 to 1
  std::uint64_t failed = 0;
  std::uint64_t timeouts = 0;
  LatencyFigures latency;

  // To sort by `column`, the largest first; -1 where there is none, and the same for all by "key".
  [[nodiscard]] std::int64_t rank(const std::string& column) const;
  [[nodiscard]] nlohmann::ordered_json to_json() const;
};

class LookupRow {
 public:
  using Record = model::DnsLookup;
  using Figures = LookupFigures;

  explicit LookupRow(std::pmr::memory_resource& memory) : latencies_(memory) {}

  [[nodiscard]] static const std::vector<std::string>& keys();
  [[nodiscard]] static const std::vector<std::string>& columns();
  // Names without regard to case; a process is known by its name alone, so that a program that runs often is one row.
  [[nodiscard]] static std::string key(const model::DnsLookup& lookup, const std::string& by);
  // Is a lookup of its own: one that this node asked, and not a further answer to one that was counted already.
  [[nodiscard]] static bool counts(const model::DnsLookup& lookup);
  // Refuses an outcome that is no lookup's: a table that is always empty would look like an answer.
  [[nodiscard]] static Result<void> check(const Parameters& parameters);

  void add(const model::DnsLookup& lookup);
  [[nodiscard]] std::uint64_t count() const { return lookups_; }
  // Once, when all are added.
  [[nodiscard]] LookupFigures figures(std::uint64_t of_all);

 private:
  std::uint64_t lookups_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t timeouts_ = 0;
  LatencySample latencies_;
};

}  // namespace cortexflow::control
