// SPDX-License-Identifier: Apache-2.0
#include "identity/caller.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>

#include "agent/base/fd.h"

namespace cortexflow::identity {
namespace {

#ifdef SO_PEERPIDFD
constexpr int kPeerPidFd = SO_PEERPIDFD;
#else
constexpr int kPeerPidFd = 77;  // asm-generic/socket.h since Linux 6.5
#endif

// "0::/path" is the line of cgroup v2, also on a host with both hierarchies.
std::string cgroup_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/cgroup", pid));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return line.substr(3);
  }
  return {};
}

// Does /proc/PID still belong to the peer?
bool still_there(const Fd& pidfd, const Caller& caller) {
  if (pidfd) {
    pollfd ended{pidfd.get(), POLLIN, 0};
    return poll(&ended, 1, 0) == 0;
  }
  struct stat status{};
  return stat(fmt::format("/proc/{}", caller.pid).c_str(), &status) == 0 && status.st_uid == caller.uid;
}

}  // namespace

Result<Caller> caller_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno("cannot tell who is calling", errno);
  }
  int raw = -1;
  size = sizeof raw;
  const bool has_pidfd = getsockopt(socket, SOL_SOCKET, kPeerPidFd, &raw, &size) == 0;
  const bool ended = !has_pidfd && errno != ENOPROTOOPT;  // which kernels before 6.5 say: they know no such option
  const Fd pidfd(has_pidfd ? raw : -1);
  Caller caller{credentials.pid, credentials.uid, credentials.gid, {}};
  if (ended) return caller;  // its number may be another's
  auto cgroup = cgroup_of(caller.pid);
  if (still_there(pidfd, caller)) caller.cgroup = std::move(cgroup);  // asked after it was read
  return caller;
}

}  // namespace cortexflow::identity
