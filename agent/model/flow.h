// SPDX-License-Identifier: Apache-2.0
// A TCP connection of one of this node's sockets that has ended or, where open ones are asked for, has not; or what
// policy refused, or would have, when it did; as every stage behind the kernel sees it.  A connection between two
// sockets of this node is two flows, one of each side.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/ip_address.h"
#include "agent/model/workload.h"

namespace cortexflow::model {

enum class FlowDirection : std::uint8_t { kOut, kIn };  // who opened it: this side, the other

// The values' names in JSON and metrics: closed, reset, aborted, broken; refused, timed_out, unreachable, abandoned;
// open, connecting; denied, would_deny.
enum class FlowOutcome : std::uint8_t {
  kClosed,   // by a FIN
  kReset,    // by the other side's RST
  kAborted,  // by this side's
  kBroken,   // the other side answered no more
  // Never established:
  kRefused,      // RST
  kTimedOut,     // no answer
  kUnreachable,  // ICMP, or a local refusal
  kAbandoned,    // this side gave up before an answer
  // Not ended; in what open_flows() gives alone:
  kOpen,
  kConnecting,
  // What policy said when it said so.  A TCP connection that got as far as its SYN has a flow of its own at its end.
  kDenied,
  kWouldDeny,  // in audit mode
};

enum class FlowProtocol : std::uint8_t { kTcp, kUdp };

// What policy said of it at this end.
struct FlowVerdict {
  std::string verdict;  // "not_allowed", as in the metrics
  bool refused = false;
  std::vector<std::string> rules;  // that decided: "shop/allow-web[0]"; of this agent's policies alone
};

struct Flow {
  std::chrono::system_clock::time_point start;  // the SYN; of an accepted one, the handshake's end
  std::chrono::nanoseconds duration{0};
  std::optional<std::chrono::nanoseconds> connect_latency;  // SYN to established; of accepted ones it is not known
  FlowDirection direction = FlowDirection::kOut;
  FlowOutcome outcome = FlowOutcome::kClosed;
  FlowProtocol protocol = FlowProtocol::kTcp;
  std::optional<FlowVerdict> policy;  // none: not judged
  std::uint64_t attempts = 0;         // of kDenied and kWouldDeny: packets and connect() calls that this stands for
  std::uint16_t error = 0;            // errno that the application got

  IpAddress local;
  std::uint16_t local_port = 0;
  IpAddress remote;
  std::uint16_t remote_port = 0;
  std::optional<IpAddress> service_address;  // that was connected to, where it was a service's
  std::uint16_t service_port = 0;
  std::string service;  // "NAMESPACE/NAME", or empty

  std::uint64_t bytes_sent = 0;  // payload, each octet once
  std::uint64_t bytes_received = 0;
  std::uint32_t retransmits = 0;            // segments
  std::chrono::microseconds round_trip{0};  // smoothed, at the end; 0: not known

  std::uint32_t pid = 0;  // of who connected, thread group id in the initial pid namespace; 0: unknown, or accepted
  std::string comm;
  std::uint64_t cgroup_id = 0;
  std::uint32_t netns = 0;  // inode number
  Workload workload;        // this side
  Workload peer;            // the other, as far as an address tells: a pod, or nothing
};

inline std::chrono::system_clock::time_point end_of(const Flow& flow) {
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(flow.start + flow.duration);
}

inline bool is_open(const Flow& flow) {
  return flow.outcome == FlowOutcome::kOpen || flow.outcome == FlowOutcome::kConnecting;
}
// Not a connection: what policy said of one, or of a datagram.
inline bool is_refusal(const Flow& flow) {
  return flow.outcome == FlowOutcome::kDenied || flow.outcome == FlowOutcome::kWouldDeny;
}
// Never established, or not ended by a FIN of either side.
inline bool failed(const Flow& flow) {
  return flow.outcome != FlowOutcome::kClosed && flow.outcome != FlowOutcome::kWouldDeny && !is_open(flow);
}

}  // namespace cortexflow::model
