// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "agent/base/thread.h"
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

// What is in the directory; nothing where there is none.
std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    out.push_back(entry->path().filename().string());
  }
  return out;
}

bool is_number(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
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
  auto thread = start_thread([&] { cookie = cookie_in(path); });  // one that ends takes its namespace with it
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  thread->join();
  return cookie;
}

std::map<std::uint32_t, Fd> open_netns(std::set<std::uint32_t> inodes) {
  std::map<std::uint32_t, Fd> found;
  struct stat own{};
  if (stat("/proc/self/ns/net", &own) != 0) return found;
  const auto look = [&](const std::string& path) {
    struct stat info{};
    if (stat(path.c_str(), &info) != 0 || info.st_dev != own.st_dev) return;
    const auto inode = static_cast<std::uint32_t>(info.st_ino);
    if (!inodes.contains(inode)) return;
    Fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns) return;
    found[inode] = std::move(netns);
    inodes.erase(inode);
  };
  look("/proc/self/ns/net");
  for (const std::string directory : {"/run/netns", "/run/docker/netns"}) {
    if (inodes.empty()) return found;
    for (const auto& name : entries_of(directory)) look(directory + "/" + name);
  }
  if (inodes.empty()) return found;
  for (const auto& name : entries_of("/proc")) {
    if (!inodes.empty() && is_number(name)) look("/proc/" + name + "/ns/net");
  }
  return found;
}

}  // namespace cortexflow::kernel
