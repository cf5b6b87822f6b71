// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <thread>

#include "agent/base/fd.h"
#include "agent/kernel/process.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace cortexflow::kernel {
namespace {

Result<std::uint64_t> cookie_in(const std::string& path) {
  const Fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return fail_errno(fmt::format("cannot open network namespace {}", path), errno);
  if (setns(netns.get(), CLONE_NEWNET) != 0) return fail_errno(fmt::format("cannot enter {}", path), errno);
  const Fd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (!probe || getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) {
    return fail_errno(fmt::format("no cookie of network namespace {}", path), errno,
                      "kernels before 5.14 don't tell it; name the workload by its cgroup");
  }
  return cookie;
}

}  // namespace

Result<std::uint64_t> cgroup_id(const std::string& directory) {
  struct stat info{};
  if (stat(directory.c_str(), &info) != 0) return fail_errno(fmt::format("no cgroup {}", directory), errno);
  return info.st_ino;
}

Result<std::uint64_t> netns_cookie(const std::string& netns) {
  const auto path = netns_path(netns);
  Result<std::uint64_t> cookie = 0;
  std::thread([&] { cookie = cookie_in(path); }).join();  // a thread that ends takes its namespace with it
  return cookie;
}

}  // namespace cortexflow::kernel
