// SPDX-License-Identifier: Apache-2.0
// The DNS packet programs, loaded and attached to nothing: packets are run through them by BPF_PROG_TEST_RUN.  Every
// run has a socket of its own, so that an answer never finds its query here: matching is the business of tests/netns.
#pragma once

#include <map>
#include <vector>

#include "bpf/abi/dns.h"
#include "tests/kernel/packets.h"

struct dns_bpf;
struct ring_buffer;

namespace cortexflow::test {

enum class Direction { kOut, kIn };
inline constexpr auto kOut = Direction::kOut;
inline constexpr auto kIn = Direction::kIn;

using Counters = std::map<cf_dns_counter, std::uint64_t>;  // those that are not 0

class DnsPrograms {
 public:
  DnsPrograms();  // throws where the kernel refuses
  ~DnsPrograms();
  DnsPrograms(const DnsPrograms&) = delete;
  DnsPrograms& operator=(const DnsPrograms&) = delete;

  // The program's verdict, after `repeat` runs over one socket.
  int run(const Bytes& packet, Direction direction, int repeat = 1);
  [[nodiscard]] Counters counters() const;
  // Records that came since the last call.
  std::vector<cf_dns_lookup> records();
  [[nodiscard]] std::vector<cf_dns_query> pending() const;
  void forget();  // counters, pending queries and records start anew

 private:
  dns_bpf* skeleton_;
  ring_buffer* ring_ = nullptr;
  std::vector<cf_dns_lookup> records_;
};

}  // namespace cortexflow::test
