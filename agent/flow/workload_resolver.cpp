// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/workload_resolver.h"

#include <memory>

#include "agent/flow/cgroup_paths.h"
#include "agent/flow/workload_path.h"

namespace cortexflow::flow {

WorkloadResolver::WorkloadResolver(WorkloadSources sources) : sources_(std::move(sources)) {}

WorkloadResolver WorkloadResolver::of_this_host() {
  WorkloadSources sources;
  if (auto opened = CgroupPaths::open()) {
    auto paths = std::make_shared<CgroupPaths>(std::move(*opened));
    sources.path_of_cgroup = [paths](std::uint64_t id) { return paths->path_of(id); };
  } else {
    sources.path_of_cgroup = [](std::uint64_t) { return std::optional<std::string>(); };
  }
  sources.path_of_process = cgroup_path_of_process;
  sources.now = [] { return std::chrono::steady_clock::now(); };
  sources.has_v1 = has_cgroup_v1();
  return WorkloadResolver(std::move(sources));
}

model::Workload WorkloadResolver::resolve(std::uint64_t cgroup_id, std::uint32_t pid) {
  const Key by_cgroup{cgroup_id, 0};
  const model::Workload* found = cached_workload(by_cgroup);
  if (!found) {
    const auto path = cgroup_id == 0 ? std::nullopt : sources_.path_of_cgroup(cgroup_id);
    found = &remember(by_cgroup, path, path ? std::nullopt : std::optional(kNotFoundKept));
  }
  const bool says_more = !found->cgroup_path.empty() && found->cgroup_path != "/";
  if (says_more) return *found;
  model::Workload of_cgroup = sources_.has_v1 ? model::Workload{} : *found;
  if (pid == 0) return of_cgroup;

  const Key by_process{cgroup_id, pid};
  found = cached_workload(by_process);
  if (!found) {
    const auto path = sources_.path_of_process(pid);
    found = &remember(by_process, path, path ? kProcessKept : kNotFoundKept);
  }
  return found->cgroup_path.empty() ? of_cgroup : *found;
}

const model::Workload* WorkloadResolver::cached_workload(const Key& key) {
  const auto at = index_.find(key);
  if (at == index_.end()) return nullptr;
  const auto entry = at->second;
  if (const auto expires = entry->expires; expires && *expires <= sources_.now()) {
    entries_.erase(entry);
    index_.erase(at);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  return &entry->workload;
}

const model::Workload& WorkloadResolver::remember(const Key& key, const std::optional<std::string>& path,
                                                  std::optional<std::chrono::seconds> kept) {
  if (entries_.size() >= kCacheMax) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  Entry entry{key, parse_workload(path.value_or("")), std::nullopt};
  if (kept) entry.expires = sources_.now() + *kept;
  entries_.push_front(std::move(entry));
  index_[key] = entries_.begin();
  return entries_.front().workload;
}

}  // namespace cortexflow::flow
