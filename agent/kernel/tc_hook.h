// SPDX-License-Identifier: Apache-2.0
// Programs at an interface's TC hooks: by a pinned TCX link where the kernel has it (6.6), else by a clsact filter.
// Both stay when the agent is gone, and both are changed for another program without a moment between.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::kernel {

// Each has filters of its own at an interface's clsact.
enum class TcUser : std::uint8_t { kRedirect, kEdge };

struct TcPrograms {
  TcUser user = TcUser::kRedirect;
  int ingress = -1;  // none: that side is left alone
  int egress = -1;
};

enum class TcHook { kTcx, kClsact };

[[nodiscard]] const char* tc_hook_name(TcHook hook);

// TCX links are pinned as `pins`_ingress and `pins`_egress; what is pinned there and is the interface's is taken over.
[[nodiscard]] Result<TcHook> attach_tc(int interface, const TcPrograms& programs, const std::string& pins);
[[nodiscard]] Result<void> attach_clsact(int interface, const TcPrograms& programs);

// Whether what attach_tc() attached is there still.
[[nodiscard]] bool is_tc_attached(int interface, const TcPrograms& programs, const std::string& pins);

// Takes away what attach_tc() left, by this process or one before it.  The interface may be gone.
void detach_tc(int interface, TcUser user, const std::string& pins);

}  // namespace cortexflow::kernel
