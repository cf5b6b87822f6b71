// SPDX-License-Identifier: Apache-2.0
// Which lookups a watcher wants: OR within a field, AND between fields; what a `not.` field matches is left out.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/dns_lookup.h"

namespace cortexflow::control {

// "500us", "10ms", "2s", "5m", "1h"
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(const std::string& text);

class LookupFilter {
 public:
  using Parameters = std::multimap<std::string, std::string>;

  // Fields that can be filtered by; each also with "not." before it.
  // name (glob), type, rcode, outcome, server (address or address:port), workload, pid, min_latency, failed
  [[nodiscard]] static const std::vector<std::string>& fields();

  // From URL query parameters; other parameters are not looked at.
  [[nodiscard]] static Result<LookupFilter> parse(const Parameters& parameters);

  [[nodiscard]] bool matches(const model::DnsLookup& lookup) const;

 private:
  using Test = std::function<bool(const model::DnsLookup&)>;
  [[nodiscard]] static Result<Test> make_test(const std::string& field, const std::string& value);

  std::map<std::string, std::vector<Test>> wanted_;
  std::vector<Test> unwanted_;
};

}  // namespace cortexflow::control
