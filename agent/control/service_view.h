// SPDX-License-Identifier: Apache-2.0
// What the control API shows of services.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cortexflow::control {

// How TCP connections went since the backend is there (bpf/abi/service.h, enum cf_svc_result).
struct ConnectionRow {
  std::map<std::string, std::uint64_t> results;  // "established", "refused", "timed_out"...
  std::uint64_t failed = 0;                      // before they were established, but those that the caller gave up
  double connect_mean_s = 0;                     // from SYN to established; 0: none were
  double connect_recent_s = 0;                   // weighed by age, as LeastLatency uses it; failures count 1 s and more
  double round_trip_s = 0;                       // the kernel's smoothed one, of connections that have ended
};

struct BackendRow {
  std::string address;       // "10.200.2.1:8080"
  std::uint32_t number = 0;  // in svc_backends; 0: it is not there
  std::string pod;
  std::string subset;
  std::uint32_t weight = 1;
  bool weight_set = false;   // by the operator
  double share = 0;          // of the callers, without regard to their version; 0 to 1
  std::uint64_t active = 0;  // live connections of this machine's callers
  ConnectionRow connections;
  std::uint64_t chosen = 0;  // times chosen since it is there
  // compile/backend_facts.h; where it is ready and a check asks it "healthy", or "unchecked" before the first result.
  std::string state;
  std::string reason;  // in words, where there is more to say, such as the latest check's result
  std::optional<std::chrono::system_clock::time_point> since;  // of what its checks say
};

struct SubsetRow {
  std::string name;
  std::uint32_t weight = 0;
  std::uint32_t manifest_weight = 0;
  bool weight_set = false;  // by the operator
  double share = 0;
};

// One port of a service in one address family.
struct ServiceRow {
  std::string ns;  // empty: not known, as nothing of it can be read
  std::string name;
  std::string port_name;
  std::string protocol;                // "TCP", "UDP"
  std::vector<std::string> addresses;  // "10.96.0.11:80"
  std::uint32_t number = 0;            // in svc_services
  std::string algorithm;               // "RoundRobin"...
  std::uint32_t affinity_s = 0;
  std::uint32_t max_connections = 0;
  std::uint32_t max_pending = 0;
  std::uint64_t active = 0;
  std::uint64_t pending = 0;  // of these, not established yet; counted where there is a limit
  std::uint64_t refused = 0;  // by the circuit breaker
  std::vector<SubsetRow> subsets;
  std::vector<BackendRow> backends;   // every one that the manifests name
  std::vector<std::string> versions;  // callers of these have backends of their own
  std::vector<std::string> problems;  // why the kernel has not what was asked for; empty if it has
  // It stands as the agent before left it, since this one started: of its manifests not all can be read.
  std::optional<std::chrono::system_clock::time_point> held_since;
};

}  // namespace cortexflow::control
