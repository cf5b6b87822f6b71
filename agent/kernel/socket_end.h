// SPDX-License-Identifier: Apache-2.0
// Ends UDP sockets of other processes, so that whoever waits on one wakes with ECONNABORTED: SOCK_DESTROY of
// sock_diag(7), with CONFIG_INET_DIAG_DESTROY, which Debian's kernels have.
#pragma once

#include <array>
#include <cstdint>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "bpf/abi/service.h"

namespace cortexflow::kernel {

enum class SocketEnd {
  kDestroyed,
  kMoved,        // the application has closed it, or connected it elsewhere
  kUnreachable,  // its network namespace has no name and no process that the agent may see
  kFailed,
};
inline constexpr std::size_t kSocketEnds = 4;
inline constexpr std::array<const char*, kSocketEnds> kSocketEndNames{"destroyed", "moved", "unreachable", "failed"};

// Is there SOCK_DESTROY, and may this process use it?  Tries it on a socket of its own.
[[nodiscard]] Result<void> try_socket_end();

// A netlink socket for end_socket() in that network namespace.
[[nodiscard]] Result<Fd> open_sock_diag(const Fd& netns);

// The kernel looks for it by both its ends and compares the cookie, so that another socket is never taken for it.
[[nodiscard]] SocketEnd end_socket(const Fd& sock_diag, const cf_svc_stale_socket& socket);

}  // namespace cortexflow::kernel
