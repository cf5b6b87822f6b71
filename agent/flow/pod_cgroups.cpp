// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/pod_cgroups.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "agent/flow/workload_path.h"

namespace cortexflow::flow {
namespace {

// A kubelet's --cgroup-root is the root of the hierarchy or not far below.
constexpr int kKubepodsDepthMax = 2;
constexpr std::uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

bool is_kubepods(std::string_view name) { return name.starts_with("kubepods"); }

}  // namespace

Result<PodCgroups> PodCgroups::open(std::string root) {
  Fd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return fail_errno("cannot watch cgroups", errno, "raise fs.inotify.max_user_instances");
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  return PodCgroups(std::move(root), std::move(inotify));
}

std::optional<std::uint64_t> PodCgroups::id_of(const std::string& uid) const {
  const auto found = pods_.find(uid);
  return found == pods_.end() ? std::nullopt : std::optional(found->second.id);
}

void PodCgroups::came(const Watched& parent, const std::string& name, std::vector<std::string>& changed) {
  const std::string path = parent.path + "/" + name;
  const auto uid = parse_workload(path.substr(root_.size())).pod_uid;
  if (!uid.empty()) {
    struct stat info{};
    if (stat(path.c_str(), &info) != 0) return;
    auto& pod = pods_[uid];
    if (pod.id == info.st_ino) return;
    pod = {path, info.st_ino};
    changed.push_back(uid);
    return;
  }
  if (parent.kubepods || is_kubepods(name)) return watch(path, parent.depth + 1, true, changed);
  if (parent.depth + 1 < kKubepodsDepthMax) watch(path, parent.depth + 1, false, changed);
}

// First the watch, then the look, so that nothing is missed in between.
void PodCgroups::watch(const std::string& path, int depth, bool kubepods, std::vector<std::string>& changed) {
  if (watched_.size() >= kWatchedMax && !kubepods) return;
  const Watched watched{path, depth, kubepods};
  const int descriptor = inotify_add_watch(inotify_.get(), path.c_str(), kEvents);
  if (descriptor >= 0) {
    watched_[descriptor] = watched;
  } else if (errno != ENOENT) {
    failure_ = fmt::format("pods' cgroups are looked at every {} s alone: cannot watch {}: {}; raise {}",
                           kLookEvery.count(), path, std::strerror(errno), "fs.inotify.max_user_watches");
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(path.c_str()), closedir);
  if (!listing) return;
  while (const dirent* entry = readdir(listing.get())) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    came(watched, entry->d_name, changed);
  }
}

void PodCgroups::went(const std::string& path, std::vector<std::string>& changed) {
  const auto uid = parse_workload(path.substr(root_.size())).pod_uid;
  const auto found = pods_.find(uid);
  if (found == pods_.end() || found->second.path != path) return;
  pods_.erase(found);
  changed.push_back(uid);
}

void PodCgroups::look_anew(std::vector<std::string>& changed) {
  for (const auto& [descriptor, watched] : watched_) inotify_rm_watch(inotify_.get(), descriptor);
  watched_.clear();
  failure_.clear();
  const auto before = std::exchange(pods_, {});
  std::vector<std::string> found;
  watch(root_, 0, false, found);
  for (const auto& uid : found) {
    const auto had = before.find(uid);
    if (had == before.end() || had->second != pods_.at(uid)) changed.push_back(uid);
  }
  for (const auto& [uid, pod] : before) {
    if (!pods_.contains(uid)) changed.push_back(uid);
  }
}

std::vector<std::string> PodCgroups::poll(std::chrono::steady_clock::time_point now) {
  std::vector<std::string> changed;
  if (next_look_ && now >= *next_look_) {
    look_anew(changed);
    next_look_.reset();
  }
  alignas(inotify_event) std::array<char, 16384> buffer{};
  while (true) {
    const auto got = read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += sizeof(inotify_event) + event->len;
      if (event->mask & IN_Q_OVERFLOW) {
        look_anew(changed);
        break;
      }
      const auto watched = watched_.find(event->wd);
      if (watched == watched_.end()) continue;
      if (event->mask & IN_IGNORED) {
        watched_.erase(watched);
      } else if (event->mask & (IN_CREATE | IN_MOVED_TO)) {
        came(Watched(watched->second), event->name, changed);
      } else {
        went(watched->second.path + "/" + event->name, changed);
      }
    }
  }
  if (failure_.empty()) next_look_.reset();
  if (!failure_.empty() && !next_look_) next_look_ = now + kLookEvery;
  return changed;
}

}  // namespace cortexflow::flow
