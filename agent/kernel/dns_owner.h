// SPDX-License-Identifier: Apache-2.0
// Process attribution: the best hook that this kernel takes, and what its lack costs.
#pragma once

#include <string>
#include <vector>

#include "agent/kernel/introspect.h"

struct dns_owner_kprobe_bpf;
struct dns_owner_cgroup_bpf;
struct dns_owner_tracepoint_bpf;

namespace cortexflow::kernel {

enum class OwnerHook { kNone, kCgroup, kCgroupAndTracepoint, kKprobe };

class DnsOwner {
 public:
  // Tries kprobes, then the cgroup hooks with the tracepoint beside them.  The programs share `settings` and `owners`.
  // Never fails: with no hook, lookups have no process.
  DnsOwner(int cgroup_fd, int settings_fd, int owners_fd);
  ~DnsOwner();
  DnsOwner(const DnsOwner&) = delete;
  DnsOwner& operator=(const DnsOwner&) = delete;

  [[nodiscard]] OwnerHook hook() const { return hook_; }
  // "kprobe", "cgroup sock_addr + tracepoint", "cgroup sock_addr", ""
  [[nodiscard]] std::string name() const;
  // Why a better hook was not taken, and what is lost; empty with kprobes.
  [[nodiscard]] const std::string& detail() const { return detail_; }

  [[nodiscard]] std::vector<ProgramInfo> programs() const;

 private:
  bool try_kprobe(int settings_fd, int owners_fd);
  bool try_cgroup(int cgroup_fd, int settings_fd, int owners_fd);
  bool try_tracepoint(int settings_fd, int owners_fd);

  dns_owner_kprobe_bpf* kprobe_ = nullptr;
  dns_owner_cgroup_bpf* cgroup_ = nullptr;
  dns_owner_tracepoint_bpf* tracepoint_ = nullptr;
  OwnerHook hook_ = OwnerHook::kNone;
  std::string detail_;
};

}  // namespace cortexflow::kernel
