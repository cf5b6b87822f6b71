// SPDX-License-Identifier: Apache-2.0
// What the control API answers when it is asked what a caller gets, or would get.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cortexflow::control {

struct SimulationQuery {
  std::string service;  // NAMESPACE/NAME
  std::uint64_t callers = 0;
  std::string version;  // of the callers; empty: none
  std::string from;     // one caller (as explain takes it) that calls so often; empty: so many callers
};

struct SimulatedBackend {
  std::string address;
  std::string pod;
  double callers = 0;
};

// For one address of a service.
struct SimulatedPort {
  std::string address;  // "10.96.0.11:80"
  std::string protocol;
  std::string port_name;
  std::string algorithm;
  std::string verdict;  // as ExplainedPath's
  bool exact = false;   // else the figures are what is to be expected
  std::string assumes;  // what has to hold for them
  double refused = 0;
  std::uint64_t breaker_refuses = 0;  // were all connected at once
  std::uint64_t pending_refuses = 0;  // were all connecting at once, and none established
  std::vector<SimulatedBackend> backends;
};

struct ExplainStep {
  std::string what;  // "caller", "hook", "packet", "service", "table", "breaker", "left out"...
  std::string says;
  std::string table;  // of the kernel, where it comes from one
};

struct ExplainedBackend {
  std::string address;
  std::string pod;
  double share = 0;  // of calls like this one
  std::uint64_t active = 0;
  double connect_recent_s = 0;  // connect latency, as it has decayed by now; 0: not measured lately
  std::string state;            // "ready", "probation", "probation, taken", "missing", "unreachable"
};

// What happens to a call to one address.
struct ExplainedPath {
  std::string address;
  std::string protocol;
  // "translated", "direct" (no service's address), "refused: no backend", "refused: breaker" (too many connections),
  // "refused: pending" (too many not established), "refused: broken tables", "refused: unreachable" (no packet can be
  // sent to a backend), "not seen" (neither a hook nor an interface sees the caller: direct).
  std::string verdict;
  std::string next;  // the backend that the next call gets, where that is not by lot
  std::vector<ExplainStep> steps;
  std::vector<ExplainedBackend> backends;
  std::vector<std::string> differences;  // between the kernel's tables and what the agent means them to be
};

struct Explanation {
  std::string caller;
  std::string target;
  std::string version;  // of the caller, as the kernel has it; empty: none
  std::vector<ExplainStep> steps;
  std::vector<ExplainedPath> paths;
};

}  // namespace cortexflow::control
