// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/tc_hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <filesystem>
#include <utility>

#include "agent/base/fd.h"

namespace cortexflow::kernel {
namespace {

// By these our filters are known among others'.
constexpr __u32 kHandle = 0xcf;
constexpr __u32 kPriority = 0xcf1;  // of the first user

struct Side {
  bpf_attach_type tcx;
  bpf_tc_attach_point clsact;
  const char* name;
};
constexpr std::array kSides{Side{BPF_TCX_INGRESS, BPF_TC_INGRESS, "ingress"},
                            Side{BPF_TCX_EGRESS, BPF_TC_EGRESS, "egress"}};

int program_of(const TcPrograms& programs, const Side& side) {
  return side.tcx == BPF_TCX_INGRESS ? programs.ingress : programs.egress;
}

std::string pin_of(const std::string& pins, const Side& side) { return pins + "_" + side.name; }

// A link whose interface has gone says 0.
bool belongs_to(const Fd& link, int interface) {
  bpf_link_info info{};
  __u32 length = sizeof info;
  return bpf_link_get_info_by_fd(link.get(), &info, &length) == 0 && info.type == BPF_LINK_TYPE_TCX &&
         static_cast<int>(info.tcx.ifindex) == interface;
}

// 0, or errno.
int attach_tcx(int interface, int program, const Side& side, const std::string& pin) {
  const Fd pinned(bpf_obj_get(pin.c_str()));
  if (pinned && belongs_to(pinned, interface) && bpf_link_update(pinned.get(), program, nullptr) == 0) return 0;
  std::error_code ignored;
  std::filesystem::remove(pin, ignored);
  const Fd link(bpf_link_create(program, interface, side.tcx, nullptr));
  if (!link) return errno;
  return bpf_obj_pin(link.get(), pin.c_str()) == 0 ? 0 : errno;
}

void detach_tcx(const std::string& pins) {
  for (const auto& side : kSides) {
    const Fd link(bpf_obj_get(pin_of(pins, side).c_str()));
    if (link) bpf_link_detach(link.get());  // now, not when the kernel gets round to freeing the link
    std::error_code ignored;
    std::filesystem::remove(pin_of(pins, side), ignored);
  }
}

bpf_tc_hook hook_of(int interface, bpf_tc_attach_point point) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = interface;
  hook.attach_point = point;
  return hook;
}

bpf_tc_opts our_filter(TcUser user) {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = kHandle;
  options.priority = kPriority + static_cast<__u32>(user);
  return options;
}

}  // namespace

const char* tc_hook_name(TcHook hook) { return hook == TcHook::kTcx ? "tcx" : "clsact"; }

Result<TcHook> attach_tc(int interface, const TcPrograms& programs, const std::string& pins) {
  for (const auto& side : kSides) {
    const int program = program_of(programs, side);
    if (program < 0) continue;
    const int error = attach_tcx(interface, program, side, pin_of(pins, side));
    if (error == 0) continue;
    detach_tcx(pins);  // not the filters of before: they are changed for these
    if (error == ENODEV) return fail_errno("cannot attach", error);
    if (auto attached = attach_clsact(interface, programs); !attached) {
      return tl::make_unexpected(std::move(attached.error()));
    }
    return TcHook::kClsact;
  }
  return TcHook::kTcx;
}

Result<void> attach_clsact(int interface, const TcPrograms& programs) {
  auto both = hook_of(interface, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
  if (const int error = bpf_tc_hook_create(&both); error != 0 && error != -EEXIST) {
    return fail_errno("cannot make a clsact qdisc", -error, "a kernel without TCX needs CONFIG_NET_SCH_INGRESS");
  }
  for (const auto& side : kSides) {
    const auto hook = hook_of(interface, side.clsact);
    auto filter = our_filter(programs.user);
    filter.prog_fd = program_of(programs, side);
    if (filter.prog_fd < 0) continue;
    filter.flags = BPF_TC_F_REPLACE;
    if (const int error = bpf_tc_attach(&hook, &filter); error != 0) {
      return fail_errno("cannot attach a clsact filter", -error, "a kernel without TCX needs CONFIG_NET_CLS_BPF");
    }
  }
  return {};
}

bool is_tc_attached(int interface, const TcPrograms& programs, const std::string& pins) {
  for (const auto& side : kSides) {
    if (program_of(programs, side) < 0) continue;
    const Fd link(bpf_obj_get(pin_of(pins, side).c_str()));
    if (link ? belongs_to(link, interface) : errno != ENOENT) continue;  // or it can't be known now
    const auto hook = hook_of(interface, side.clsact);
    auto filter = our_filter(programs.user);
    if (bpf_tc_query(&hook, &filter) != 0) return false;
  }
  return true;
}

void detach_tc(int interface, TcUser user, const std::string& pins) {
  detach_tcx(pins);
  for (const auto& side : kSides) {
    const auto hook = hook_of(interface, side.clsact);
    auto filter = our_filter(user);
    // The qdisc stays: others may have filters there.  An empty one costs a packet next to nothing.
    if (bpf_tc_query(&hook, &filter) == 0) {
      filter = our_filter(user);
      bpf_tc_detach(&hook, &filter);
    }
  }
}

}  // namespace cortexflow::kernel
