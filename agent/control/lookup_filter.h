// SPDX-License-Identifier: Apache-2.0
// Which lookups a watcher wants: OR within a field, AND between fields; what a `not.` field matches is left out.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/parameters.h"
#include "agent/model/dns_lookup.h"

namespace cortexflow::control {

// A timeout, or an answer with an rcode other than NOERROR and NXDOMAIN.
[[nodiscard]] bool failed(const model::DnsLookup& lookup);

class LookupFilter {
 public:
  using Parameters = control::Parameters;

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
