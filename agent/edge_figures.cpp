// SPDX-License-Identifier: Apache-2.0
#include "agent/edge_figures.h"

#include <algorithm>

namespace cortexflow {
namespace {

// In the order of enum cf_edge_counter.
constexpr std::array<const char*, CF_EDGE_C_MAX> kNames{
    "not_ours",    "malformed", "fragment_unknown", "reply_unknown", "stack",          "no_neighbour", "tunnelled",
    "translated",  "replied",   "error_followed",   "too_big",       "ttl_exceeded",   "denied",       "out_of_range",
    "no_backend",  "no_port",   "no_address",       "no_route",      "not_forwarding", "unanswerable", "helper_failed",
    "audited",     "candidate", "pinned",           "from_pin",      "opened",         "established",  "port_taken",
    "port_reused", "fragment",  "routed",           "lost",
};
static_assert(kNames.back() != nullptr);

}  // namespace

bool is_edge_drop(const std::string& verdict) {
  return std::find(kNames.begin() + CF_EDGE_V_DENIED, kNames.begin() + CF_EDGE_VERDICTS, verdict) !=
         kNames.begin() + CF_EDGE_VERDICTS;
}

EdgeFigures edge_figures(const std::array<std::uint64_t, CF_EDGE_C_MAX>& counters) {
  EdgeFigures out;
  for (std::size_t i = 0; i < counters.size(); ++i) {
    (i < CF_EDGE_VERDICTS ? out.verdicts : out.events)[kNames[i]] = counters[i];
  }
  return out;
}

}  // namespace cortexflow
