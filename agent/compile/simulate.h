// SPDX-License-Identifier: Apache-2.0
// Which backends so many callers would get from what a lookup found.  Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/compile/lookup.h"

namespace cortexflow::compile {

struct Simulation {
  bool exact = false;                       // else it is what is to be expected
  std::string assumes;                      // what has to hold for that
  std::map<std::uint32_t, double> callers;  // by backend number
  double refused = 0;
  std::uint64_t breaker_refuses = 0;  // were all of them connected at once
  std::uint64_t pending_refuses = 0;  // were all of them connecting at once, and none established
};

// `same`: they are one caller, `caller`, that calls so often; else as many callers as there are calls, each its first.
[[nodiscard]] Simulation simulate(const Lookup& lookup, const Caller& caller, bool same, std::uint64_t callers);

}  // namespace cortexflow::compile
