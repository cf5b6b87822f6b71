// SPDX-License-Identifier: Apache-2.0
// The numbers by which the kernel's programs know a workload's cgroup and network namespace.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow::kernel {

// What bpf_get_current_cgroup_id() says in it: the inode number of its cgroup v2 directory.
[[nodiscard]] Result<std::uint64_t> cgroup_id(const std::string& directory);

// What bpf_get_netns_cookie() says in it (SO_NETNS_COOKIE, kernel commit e8b9eab99232, 5.14).  `netns`: a path, or a
// name under /run/netns.
[[nodiscard]] Result<std::uint64_t> netns_cookie(const std::string& netns);

// Network namespaces by the inode numbers that they have in nsfs: those that container runtimes and `ip netns` have
// named, and those of processes that this one may look at (others users' need CAP_SYS_PTRACE).  What is not found is
// not there.
[[nodiscard]] std::map<std::uint32_t, Fd> open_netns(std::set<std::uint32_t> inodes);

}  // namespace cortexflow::kernel
