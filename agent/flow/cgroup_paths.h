// SPDX-License-Identifier: Apache-2.0
// From the kernel's numbers to cgroup paths.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::flow {

struct CgroupMount {
  std::string root;   // of the mount within the hierarchy: "/" but for bind mounts
  std::string point;  // where it is mounted
};

// The cgroup v2 mount in the text of a mountinfo file (proc_pid_mountinfo(5)), one of the whole hierarchy first.
std::optional<CgroupMount> find_cgroup2_mount(std::string_view mountinfo);
// A cgroup's path in the hierarchy from its directory's path in the file system.
std::string cgroup_path_below(const CgroupMount& mount, std::string_view directory);
// The longest path in the text of /proc/PID/cgroup; empty where there is none.
std::string longest_cgroup_path(std::string_view proc_cgroup);

// An id of cgroup v2 is the file handle of the cgroup's directory (kernfs, Linux 5.5 and newer), so it opens without a
// search.  That needs CAP_DAC_READ_SEARCH in the initial user namespace.  May be used by several threads at once.
class CgroupPaths {
 public:
  // Fails where cgroup v2 is not mounted.
  static Result<CgroupPaths> open();
  CgroupPaths(CgroupPaths&& other) noexcept;
  CgroupPaths& operator=(CgroupPaths&& other) noexcept;
  CgroupPaths(const CgroupPaths&) = delete;
  CgroupPaths& operator=(const CgroupPaths&) = delete;
  ~CgroupPaths();

  // "/system.slice/foo.service", "/" for the root; nothing for a cgroup that is gone.
  std::optional<std::string> path_of(std::uint64_t cgroup_id) const;

 private:
  CgroupPaths(int mount_fd, CgroupMount mount);

  int mount_fd_ = -1;
  CgroupMount mount_;
};

// For hosts whose processes are in cgroup v1 hierarchies.  `pid` is one of /proc: the agent has to see the initial pid
// namespace there.  Nothing for a process that is gone.
std::optional<std::string> cgroup_path_of_process(std::uint32_t pid);

// Is a cgroup v1 hierarchy with a controller mounted?
bool has_cgroup_v1();

}  // namespace cortexflow::flow
