// SPDX-License-Identifier: Apache-2.0
// The cgroups that a kubelet makes for pods, as they come and go: by inotify, no container runtime is asked.
// kubelet, pkg/kubelet/cm: /kubepods[/burstable|/besteffort]/pod<uid>, with the systemd driver
// /kubepods.slice[/kubepods-burstable.slice]/kubepods[-burstable]-pod<uid>.slice; below the kubelet's --cgroup-root.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow::flow {

class PodCgroups {
 public:
  static constexpr std::size_t kWatchedMax = 1024;  // directories; pods' own are not watched
  static constexpr std::chrono::seconds kLookEvery{5};

  // Of the cgroup v2 hierarchy, or the part of it, that is mounted there.
  static Result<PodCgroups> open(std::string root);

  [[nodiscard]] int fd() const { return inotify_.get(); }
  // The uids of pods whose cgroup came or went since the call before; the first has all that are there.  To be called
  // when fd() is readable, and now and then: what can't be watched is looked at every kLookEvery.
  [[nodiscard]] std::vector<std::string> poll(std::chrono::steady_clock::time_point now);
  // Why some come and go unnoticed until then; empty: none does.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  // The cgroup's id; nothing: it has none (yet).
  [[nodiscard]] std::optional<std::uint64_t> id_of(const std::string& uid) const;
  [[nodiscard]] std::size_t size() const { return pods_.size(); }

 private:
  struct Watched {
    std::string path;
    int depth = 0;  // below the root
    bool kubepods = false;
  };
  struct Pod {
    std::string path;
    std::uint64_t id = 0;
    bool operator==(const Pod&) const = default;
  };

  PodCgroups(std::string root, Fd inotify) : root_(std::move(root)), inotify_(std::move(inotify)) {}

  void look_anew(std::vector<std::string>& changed);
  void watch(const std::string& path, int depth, bool kubepods, std::vector<std::string>& changed);
  void came(const Watched& parent, const std::string& name, std::vector<std::string>& changed);
  void went(const std::string& path, std::vector<std::string>& changed);

  std::string root_;
  Fd inotify_;
  std::string failure_;
  std::optional<std::chrono::steady_clock::time_point> next_look_ = std::chrono::steady_clock::time_point{};
  std::map<int, Watched> watched_;             // by watch descriptor
  std::unordered_map<std::string, Pod> pods_;  // by uid
};

}  // namespace cortexflow::flow
