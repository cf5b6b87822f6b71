// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/dns_owner.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cstring>

#include "dns_owner_cgroup.skel.h"
#include "dns_owner_kprobe.skel.h"
#include "dns_owner_tracepoint.skel.h"

namespace cortexflow::kernel {
namespace {

template <typename Skeleton>
bool share_maps(Skeleton* skeleton, int settings_fd, int owners_fd) {
  return bpf_map__reuse_fd(skeleton->maps.dns_settings, settings_fd) == 0 &&
         bpf_map__reuse_fd(skeleton->maps.dns_owners, owners_fd) == 0;
}

}  // namespace

DnsOwner::DnsOwner(int cgroup_fd, int settings_fd, int owners_fd) {
  if (try_kprobe(settings_fd, owners_fd)) {
    hook_ = OwnerHook::kKprobe;
    return;
  }
  const std::string refused = fmt::format("kprobes refused ({})", std::strerror(errno));
  if (!try_cgroup(cgroup_fd, settings_fd, owners_fd)) {
    detail_ = fmt::format("{}, cgroup hooks refused ({}): lookups carry no process", refused, std::strerror(errno));
    return;
  }
  if (try_tracepoint(settings_fd, owners_fd)) {
    hook_ = OwnerHook::kCgroupAndTracepoint;
    detail_ =
        refused + ": a socket that was handed to another process counts for who connected it until it is answered";
  } else {
    hook_ = OwnerHook::kCgroup;
    detail_ = refused + ", no tracepoint sock_send_length: sockets connected before the agent started have no process";
  }
}

DnsOwner::~DnsOwner() {
  dns_owner_tracepoint_bpf__destroy(tracepoint_);
  dns_owner_cgroup_bpf__destroy(cgroup_);
  dns_owner_kprobe_bpf__destroy(kprobe_);
}

std::string DnsOwner::name() const {
  switch (hook_) {
    case OwnerHook::kKprobe:
      return "kprobe";
    case OwnerHook::kCgroupAndTracepoint:
      return "cgroup sock_addr + tracepoint";
    case OwnerHook::kCgroup:
      return "cgroup sock_addr";
    case OwnerHook::kNone:
      break;
  }
  return {};
}

std::vector<ProgramInfo> DnsOwner::programs() const {
  std::vector<ProgramInfo> out;
  const auto add = [&out](const bpf_object* object) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
      out.push_back(describe_program(bpf_program__fd(program)));
      out.back().attached_to = bpf_program__section_name(program);
    }
  };
  if (kprobe_) add(kprobe_->obj);
  if (cgroup_) add(cgroup_->obj);
  if (tracepoint_) add(tracepoint_->obj);
  return out;
}

bool DnsOwner::try_kprobe(int settings_fd, int owners_fd) {
  kprobe_ = dns_owner_kprobe_bpf__open();
  if (kprobe_ && share_maps(kprobe_, settings_fd, owners_fd) && dns_owner_kprobe_bpf__load(kprobe_) == 0 &&
      dns_owner_kprobe_bpf__attach(kprobe_) == 0) {
    return true;
  }
  const int saved = errno;
  dns_owner_kprobe_bpf__destroy(kprobe_);
  kprobe_ = nullptr;
  errno = saved;
  return false;
}

bool DnsOwner::try_cgroup(int cgroup_fd, int settings_fd, int owners_fd) {
  cgroup_ = dns_owner_cgroup_bpf__open();
  bool attached = cgroup_ && share_maps(cgroup_, settings_fd, owners_fd) && dns_owner_cgroup_bpf__load(cgroup_) == 0;
  if (attached) {
    attached = (cgroup_->links.dns_connect4 = bpf_program__attach_cgroup(cgroup_->progs.dns_connect4, cgroup_fd)) &&
               (cgroup_->links.dns_connect6 = bpf_program__attach_cgroup(cgroup_->progs.dns_connect6, cgroup_fd)) &&
               (cgroup_->links.dns_sendmsg4 = bpf_program__attach_cgroup(cgroup_->progs.dns_sendmsg4, cgroup_fd)) &&
               (cgroup_->links.dns_sendmsg6 = bpf_program__attach_cgroup(cgroup_->progs.dns_sendmsg6, cgroup_fd));
  }
  if (attached) return true;
  const int saved = errno;
  dns_owner_cgroup_bpf__destroy(cgroup_);
  cgroup_ = nullptr;
  errno = saved;
  return false;
}

bool DnsOwner::try_tracepoint(int settings_fd, int owners_fd) {
  tracepoint_ = dns_owner_tracepoint_bpf__open();
  if (tracepoint_ && share_maps(tracepoint_, settings_fd, owners_fd) &&
      dns_owner_tracepoint_bpf__load(tracepoint_) == 0 && dns_owner_tracepoint_bpf__attach(tracepoint_) == 0) {
    return true;
  }
  dns_owner_tracepoint_bpf__destroy(tracepoint_);
  tracepoint_ = nullptr;
  return false;
}

}  // namespace cortexflow::kernel
