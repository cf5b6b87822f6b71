// SPDX-License-Identifier: Apache-2.0
// The DNS programs of bpf/observe in this kernel: loaded, attached, pinned; their records, counters and tables.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/kernel/dns_owner.h"
#include "agent/kernel/introspect.h"
#include "bpf/abi/dns.h"

struct dns_bpf;
struct ring_buffer;

namespace cortexflow::kernel {

struct DnsTracerOptions {
  std::string cgroup_root;
  std::string pin_path;
  std::vector<std::uint16_t> ports;  // host order, 1 to CF_DNS_PORTS_MAX
};

class DnsTracer {
 public:
  using RecordHandler = std::function<void(std::span<const std::byte>)>;

  // Loads, attaches and pins.  Whatever fails leaves nothing behind.
  [[nodiscard]] static Result<std::unique_ptr<DnsTracer>> open(const DnsTracerOptions& options,
                                                               RecordHandler on_record);
  // Loads the programs and lets them go again: does this kernel take them?
  [[nodiscard]] static Result<void> try_load();
  ~DnsTracer();
  DnsTracer(const DnsTracer&) = delete;
  DnsTracer& operator=(const DnsTracer&) = delete;

  [[nodiscard]] Result<void> set_ports(const std::vector<std::uint16_t>& ports);
  // Fails once the observed cgroup was removed: the kernel detaches the programs without a word.
  [[nodiscard]] Result<void> check_attached() const;
  // Becomes readable when the ring fills; small amounts wait for the next consume().
  [[nodiscard]] int ring_fd() const;
  // Nothing more is seen; what is in the ring still is to be consumed.
  void detach();
  // Hands over every record in the ring.  Handler and caller share one thread.
  void consume();
  // Takes queries older than `limit` out of the pending table; each comes back as a timed out lookup.
  [[nodiscard]] std::vector<cf_dns_lookup> take_timed_out(std::chrono::nanoseconds limit);

  // Thread-safe from here on.
  [[nodiscard]] std::array<std::uint64_t, CF_DNS_C_MAX> counters() const;
  [[nodiscard]] std::vector<MapInfo> maps() const;
  [[nodiscard]] std::vector<ProgramInfo> programs() const;
  [[nodiscard]] const DnsOwner& owner() const { return *owner_; }

 private:
  DnsTracer(const DnsTracerOptions& options, RecordHandler on_record);
  [[nodiscard]] Result<void> attach();
  [[nodiscard]] Result<void> pin();
  void unpin();

  DnsTracerOptions options_;
  RecordHandler on_record_;
  Fd cgroup_;
  dns_bpf* skeleton_ = nullptr;
  ring_buffer* ring_ = nullptr;
  std::unique_ptr<DnsOwner> owner_;
  std::vector<std::string> pins_;
};

}  // namespace cortexflow::kernel
