// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a Unix socket, as the kernel says.
#pragma once

#include <sys/types.h>

#include <string>

#include "agent/base/result.h"

namespace cortexflow::identity {

struct Caller {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string cgroup;  // its path in the cgroup v2 hierarchy, such as /system.slice/cart.service; empty: unknown
};

// As they were when the peer connected (SO_PEERCRED); the cgroup as it is now.  On Linux 6.5 and newer (SO_PEERPIDFD) a
// process that has taken over an ended peer's id is never mistaken for it; before, only one of another user is told
// apart.
[[nodiscard]] Result<Caller> caller_of(int socket);

}  // namespace cortexflow::identity
