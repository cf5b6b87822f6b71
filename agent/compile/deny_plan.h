// SPDX-License-Identifier: Apache-2.0
// From rules about prefixes to the entries of edge_deny.  Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/model/deny_list.h"
#include "agent/model/ip_address.h"
#include "bpf/abi/edge.h"

namespace cortexflow::compile {

inline constexpr std::uint64_t kForGood = UINT64_MAX;

struct DenyRule {
  model::IpAddress prefix;
  std::uint8_t length = 32;           // of the prefix in its own family: 0 to 32, or 0 to 128
  std::uint16_t port = 0;             // of the frontend; 0: all
  bool in = true;                     // clients that come from there
  bool out = false;                   // answers that go there
  bool audit = false;                 // counted, and let pass
  std::uint64_t until_ns = kForGood;  // CLOCK_MONOTONIC
};

struct DenyPlan {
  std::map<std::string, std::string> entries;
  std::chrono::system_clock::time_point next_expiry;  // when it has to be made anew
  std::string refusal;                                // of the last ones, for which there is no room; empty if there is
};

// Of those that have not expired.  `offset`: from CLOCK_MONOTONIC to the system's clock.
[[nodiscard]] DenyPlan plan_deny(const std::vector<model::DenyEntry>& entries,
                                 std::chrono::system_clock::time_point now, std::chrono::nanoseconds offset);

// Key and value as octets.  An entry says what every rule says that covers its prefix, as the kernel finds the longest
// alone; a rule about IPv6 says nothing about IPv4, though ::/0 would cover it.
[[nodiscard]] std::map<std::string, std::string> deny_entries(const std::vector<DenyRule>& rules);

// CF_EDGE_DENY_ANY and CF_EDGE_DENY_PORT, as these entries need them.
[[nodiscard]] std::uint32_t deny_flags(const std::map<std::string, std::string>& entries);

}  // namespace cortexflow::compile
