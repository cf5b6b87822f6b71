// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/model/dns_lookup.h"

namespace cortexflow::flow {

// What the resolver asks of the kernel; CgroupPaths and cgroup_path_of_process answer it.
struct WorkloadSources {
  std::function<std::optional<std::string>(std::uint64_t cgroup_id)> path_of_cgroup;
  std::function<std::optional<std::string>(std::uint32_t pid)> path_of_process;
  std::function<std::chrono::steady_clock::time_point()> now;
  bool has_v1 = false;  // processes are in cgroup v1 hierarchies too: cgroup v2's "/" says nothing
};

// From a socket's cgroup to the workload behind it, remembering the latest kCacheMax.  An id is never given twice
// until reboot, so what was found stays true; what was not found is asked again after a second.
// Not thread-safe: the one thread that reads the ring uses it.
class WorkloadResolver {
 public:
  static constexpr std::size_t kCacheMax = 1024;
  static constexpr std::chrono::seconds kNotFoundKept{1};
  static constexpr std::chrono::seconds kProcessKept{10};  // pids are given again

  explicit WorkloadResolver(WorkloadSources sources);
  // Asks the kernel.  Where cgroup v2 is not mounted, processes alone are asked for.
  static WorkloadResolver of_this_host();

  // Where cgroup v2 says no more than "/" (hosts with cgroup v1) the process is asked, if pid is not 0.  Empty path and
  // name for what cannot be resolved: there, also the workload of a process that has ended.
  model::Workload resolve(std::uint64_t cgroup_id, std::uint32_t pid);

  std::size_t cached() const { return entries_.size(); }

 private:
  using Key = std::pair<std::uint64_t, std::uint32_t>;  // cgroup id; pid where the process was asked, else 0
  struct Entry {
    Key key;
    model::Workload workload;
    std::optional<std::chrono::steady_clock::time_point> expires;
  };

  const model::Workload* cached_workload(const Key& key);
  const model::Workload& remember(const Key& key, const std::optional<std::string>& path,
                                  std::optional<std::chrono::seconds> kept);

  WorkloadSources sources_;
  std::list<Entry> entries_;  // latest used first
  std::map<Key, std::list<Entry>::iterator> index_;
};

}  // namespace cortexflow::flow
