// SPDX-License-Identifier: Apache-2.0
// What the control API shows of a node.  `main` implements it; the server only reads through it, from several threads
// at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/record_view.h"
#include "agent/control/service_view.h"
#include "agent/model/dns_lookup.h"
#include "agent/model/flow.h"

namespace cortexflow::control {

// One thing that the agent does, and which kernel hook does it here.
struct FunctionStatus {
  std::string name;  // "dns packets", "process attribution"
  std::string hook;  // "cgroup_skb", "kprobe", "cgroup sock_addr + tracepoint"; empty where none could be attached
  bool degraded = false;
  std::string detail;  // why degraded and what is lost, in words
};

struct MapFill {
  std::string name;
  std::uint64_t entries = 0;
  std::uint64_t max_entries = 0;
};

// As emitted, delivered and lost of Status, of TCP connections' records.
struct FlowRecords {
  std::uint64_t emitted = 0;
  std::uint64_t delivered = 0;
  std::map<std::string, std::uint64_t> lost;
};

// What the agent follows, and how far it has come with it.
struct Configuration {
  std::uint64_t generation = 0;                   // of what is in force; this agent process's own count of changes
  std::chrono::system_clock::time_point changed;  // when that came into force
  std::chrono::duration<double> took{0};          // from when the agent had heard of it; policies may wait 0.5 s
  // How long ago the API server was heard, of the kind that was heard longest ago (a server sends something once a
  // minute); none: no server is followed, or it was not heard yet.
  std::optional<std::chrono::duration<double>> heard;
};

struct Status {
  std::string version;
  std::string node;
  std::uint32_t pid = 0;
  std::string kernel;
  std::chrono::system_clock::time_point started;
  std::string config_file;  // empty: defaults
  std::vector<std::uint16_t> dns_ports;
  std::optional<Configuration> configuration;  // none: no manifests and no server are followed
  std::vector<FunctionStatus> functions;
  std::vector<MapFill> maps;
  // Closed accounting: emitted = delivered + sum(lost by cause) once the ring is drained.
  std::uint64_t emitted = 0;
  std::uint64_t delivered = 0;
  std::map<std::string, std::uint64_t> lost;
  std::optional<FlowRecords> flows;  // none: the kernel takes no flow program
  // DNS messages that were seen and not understood, by cause.
  std::map<std::string, std::uint64_t> parse_errors;
  std::uint64_t queries = 0;
  std::uint64_t answers = 0;
};

struct BpfProgram {
  std::uint32_t id = 0;
  std::string name;
  std::string type;
  std::string attached_to;
  std::string pin;
  std::uint64_t run_count = 0;  // with kernel.bpf_stats_enabled, else 0
  std::uint64_t run_time_ns = 0;
  std::uint32_t verified_instructions = 0;
};

// Packets, datagrams and connects that the mesh let nobody have, and why.
struct DropRow {
  std::string where;   // "policy in", "policy out", "edge", "redirect", "services"
  std::string reason;  // as in that part's metric
  std::uint64_t count = 0;
};

// A veth of the node's own network namespace.
struct VethRow {
  std::string name;
  int index = 0;
  bool up = false;
  std::string peer;  // the other end's network namespace by name, or "INDEX here"; "": not named
  std::string master;
  std::vector<std::string> pods;      // "NAMESPACE/NAME", whose addresses are reached by it
  std::vector<std::string> programs;  // of this agent, on it
  std::uint64_t received_packets = 0, sent_packets = 0;
  std::uint64_t received_bytes = 0, sent_bytes = 0;
  std::uint64_t received_dropped = 0, sent_dropped = 0;  // by the kernel
};

struct WorkloadRow {
  model::Workload workload;
  std::uint64_t cgroup_id = 0;
  std::uint64_t lookups = 0;
  std::uint64_t failed = 0;  // timeouts and rcodes other than NOERROR and NXDOMAIN
  std::chrono::system_clock::time_point last_seen;
};

class NodeView {
 public:
  virtual ~NodeView() = default;
  virtual Status status() const = 0;
  virtual std::vector<BpfProgram> bpf_programs() const = 0;
  virtual std::vector<WorkloadRow> workloads() const = 0;
  virtual std::vector<DropRow> drops() const = 0;  // every reason that there is, also those that never came
  virtual Result<std::vector<VethRow>> veths() const = 0;
  virtual std::vector<ServiceRow> services() const = 0;
  virtual std::vector<std::string> service_refusals() const = 0;          // manifests not used, in words
  virtual std::vector<std::string> log_lines(std::size_t max) const = 0;  // the agent's own latest, oldest first
  virtual const RecordView<model::DnsLookup>& lookups() const = 0;
  virtual const RecordView<model::Flow>& flows() const = 0;
  // Connections that have not ended, `limit` at most, the newest first.
  virtual Result<std::vector<model::Flow>> open_flows(std::size_t limit) const = 0;
  virtual bool draining() const = 0;
};

}  // namespace cortexflow::control
