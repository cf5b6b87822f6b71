// SPDX-License-Identifier: Apache-2.0
// A DNS lookup of this node, as every stage behind the kernel sees it: one query (with its retransmissions) and how it
// ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "agent/model/ip_address.h"
#include "agent/model/workload.h"

namespace cortexflow::model {

enum class Transport : std::uint8_t { kUdp, kTcp };

// How a lookup ended.  The values' names in JSON and metrics: answered, timeout, duplicate, late, unmatched,
// superseded, untracked.
enum class DnsOutcome : std::uint8_t {
  kAnswered,    // the first answer
  kTimeout,     // no answer in time
  kDuplicate,   // a further answer to an answered query
  kLate,        // an answer after the timeout was reported
  kUnmatched,   // an answer that nobody asked for
  kSuperseded,  // the socket reused the id for another question before an answer came
  kUntracked,   // the pending table was full: how it ended is not known
};

// Where the process came from.
enum class OwnerSource : std::uint8_t { kUnknown, kKprobe, kCgroup, kTracepoint };

struct DnsLookup {
  std::chrono::system_clock::time_point start;  // first transmission; of an unmatched answer, its arrival
  std::chrono::nanoseconds latency{0};          // first transmission to end; 0 for unmatched answers
  DnsOutcome outcome = DnsOutcome::kAnswered;
  std::uint32_t transmissions = 0;  // 0 where only the answer was seen, 2 and more: retried

  std::string name;  // presentation form (RFC 4343 escapes), without the final dot but for the root "."
  std::uint16_t qtype = 0;
  std::uint16_t qclass = 0;
  bool has_answer = false;
  std::uint16_t id = 0;
  std::uint16_t rcode = 0;    // meaningful with has_answer
  std::uint16_t answers = 0;  // ANCOUNT
  bool truncated = false;
  bool authoritative = false;
  bool authenticated = false;  // AD
  bool recursion_desired = false;
  bool recursion_available = false;
  std::uint16_t edns_size = 0;   // of the query, octets; 0 without EDNS
  std::uint16_t query_size = 0;  // octets of the DNS message
  std::uint16_t answer_size = 0;

  Transport transport = Transport::kUdp;
  IpAddress client;
  std::uint16_t client_port = 0;
  IpAddress server;
  std::uint16_t server_port = 0;

  std::uint32_t pid = 0;  // thread group id in the initial pid namespace, 0 unknown
  std::string comm;
  OwnerSource owner_source = OwnerSource::kUnknown;
  std::uint64_t cgroup_id = 0;
  std::uint32_t netns = 0;  // inode number, 0 unknown
  Workload workload;
};

inline std::chrono::system_clock::time_point end_of(const DnsLookup& lookup) {
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(lookup.start + lookup.latency);
}

}  // namespace cortexflow::model
