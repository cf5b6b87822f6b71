// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/directory_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <utility>

namespace cortexflow::source {
namespace {

constexpr std::uint32_t kMask = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
                                IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t kGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;
constexpr int kLinksMax = 40;  // as the kernel: path_resolution(7)

// Made by open(2), which a close follows; not by link, symlink or mkdir.
bool will_be_closed(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1;
}

bool is_link(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (const auto& part : std::filesystem::path(path)) {
    if (!part.empty() && part != "/" && part != ".") parts.push_back(part.string());
  }
  return parts;
}

std::string absolute(const std::string& path) {
  std::error_code ignored;  // only without a working directory: the path stays as it is, and is reported as missing
  const auto made = std::filesystem::absolute(path, ignored);
  return made.empty() ? path : made.string();
}

}  // namespace

bool is_manifest_name(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

DirectoryWatch::DirectoryWatch(Fd inotify, std::vector<std::string> directories)
    : inotify_(std::move(inotify)), directories_(std::move(directories)), links_(directories_.size()) {
  for (std::size_t i = 0; i < directories_.size(); ++i) changed_.directories.insert(i);
  first_change_ = Time::min();
  arm();
}

Result<DirectoryWatch> DirectoryWatch::open(std::vector<std::string> directories) {
  Fd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return fail_errno("cannot watch directories", errno, "raise fs.inotify.max_user_instances");
  return DirectoryWatch(std::move(inotify), std::move(directories));
}

void DirectoryWatch::drain(Time now) {
  alignas(inotify_event) std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    for (const char* at = buffer.data(); at < buffer.data() + got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      note(event->wd, event->mask, event->len > 0 ? event->name : "", now);
      at += sizeof(inotify_event) + event->len;
    }
  }
}

void DirectoryWatch::note(int watch, std::uint32_t mask, const std::string& name, Time now) {
  if (mask & IN_Q_OVERFLOW) {  // whatever was lost, a closing of these may be among it
    writing_.clear();
    open_.clear();
    for (std::size_t i = 0; i < directories_.size(); ++i) touch({i, ""}, now);
    return;
  }
  const auto path = paths_.find(watch);
  if (path == paths_.end()) return;  // of a watch that was given up
  const std::string entry = path->second + "/" + name;
  if (name.empty()) {
    if (!(mask & kGone)) return;
    rearm_ = true;
    if (const auto content = contents_.find(watch); content != contents_.end()) {
      for (const std::size_t directory : content->second) touch({directory, ""}, now);
    }
    for (auto at = entries_.lower_bound({watch, ""}); at != entries_.end() && at->first.first == watch; ++at) {
      for (const Interest& interest : at->second) touch(interest, now);
    }
    if (mask & IN_IGNORED) paths_.erase(path);
    return;
  }
  if (const auto at = entries_.find({watch, name}); at != entries_.end()) {
    const auto interests = at->second;
    for (const Interest& interest : interests) concern(interest, mask, entry, now);
  }
  if (const auto content = contents_.find(watch); content != contents_.end() && is_manifest_name(name)) {
    for (const std::size_t directory : content->second) concern({directory, name}, mask, entry, now);
  }
}

void DirectoryWatch::concern(const Interest& interest, std::uint32_t mask, const std::string& path, Time now) {
  const FileName file{interest.directory, interest.file};
  if (interest.file.empty()) {
    // On the way to the directory: only another entry under that name makes a difference, not what is done to it.
    if (!(mask & (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB))) return;
    rearm_ = true;
  } else if ((mask & IN_MODIFY) || ((mask & IN_CREATE) && will_be_closed(path))) {
    writing_[file] = now;
    return;
  } else if (mask & (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)) {
    rearm_ |= links_[interest.directory].contains(interest.file);
  }
  if ((mask & IN_ATTRIB) && writing_.contains(file)) return;
  if (!interest.file.empty() && (mask & (IN_CREATE | IN_MOVED_TO)) && is_link(path)) {
    return touch({interest.directory, ""}, now);  // its target's directory has to be found
  }
  touch(interest, now);
}

void DirectoryWatch::touch(const Interest& interest, Time now) {
  if (interest.file.empty()) {
    changed_.directories.insert(interest.directory);
  } else {
    writing_.erase({interest.directory, interest.file});
    open_.erase({interest.directory, interest.file});
    changed_.files.insert({interest.directory, interest.file});
  }
  if (!first_change_) first_change_ = now;
}

std::optional<DirectoryWatch::Time> DirectoryWatch::due() const {
  std::optional<Time> due;
  if (first_change_) due = *first_change_ == Time::min() ? Time::min() : *first_change_ + kSettle;
  for (const auto& [file, since] : writing_) due = std::min(due.value_or(Time::max()), since + kWriteQuiet);
  for (const auto& [file, when] : later_) due = std::min(due.value_or(Time::max()), when);
  return due;
}

DirectoryWatch::Changed DirectoryWatch::take(Time now) {
  const auto when = due();
  if (!when || *when > now) return {};
  for (auto at = writing_.begin(); at != writing_.end();) {
    const bool quiet = at->second + kWriteQuiet <= now;
    if (quiet) changed_.files.insert(at->first);
    if (quiet) open_.insert(at->first);
    at = quiet ? writing_.erase(at) : std::next(at);
  }
  for (auto at = later_.begin(); at != later_.end();) {
    const bool is_due = at->second <= now;
    if (is_due) changed_.files.insert(at->first);
    at = is_due ? later_.erase(at) : std::next(at);
  }
  first_change_.reset();
  Changed taken = std::exchange(changed_, {});
  std::erase_if(taken.files, [&](const FileName& file) { return taken.directories.contains(file.directory); });
  if (std::exchange(rearm_, false)) arm();
  return taken;
}

void DirectoryWatch::follow(std::size_t directory, std::set<std::string> links) {
  if (links == links_[directory]) return;
  std::vector<std::string> added;
  std::set_difference(links.begin(), links.end(), links_[directory].begin(), links_[directory].end(),
                      std::back_inserter(added));
  links_[directory] = std::move(links);
  arm();
  // Between its reading and this the link's target may have changed.
  for (std::string& name : added) {
    changed_.files.insert({directory, std::move(name)});
    if (!first_change_) first_change_ = Time::min();
  }
}

// Watches are set before it is looked what is there, so that nothing is missed in between.
void DirectoryWatch::arm() {
  const std::map<int, std::string> before = std::exchange(paths_, {});
  contents_.clear();
  entries_.clear();
  trouble_.clear();
  for (std::size_t i = 0; i < directories_.size(); ++i) {
    const std::string path = absolute(directories_[i]);
    arm_path(path, {i, ""});
    if (const int content = watch(path); content >= 0) contents_[content].insert(i);
    for (const std::string& link : links_[i]) arm_path(path + "/" + link, {i, link});
  }
  for (const auto& [descriptor, path] : before) {
    if (!paths_.contains(descriptor)) inotify_rm_watch(inotify_.get(), descriptor);
  }
}

int DirectoryWatch::watch(const std::string& path) {
  const int descriptor = inotify_add_watch(inotify_.get(), path.c_str(), kMask);
  if (descriptor >= 0) {
    paths_[descriptor] = path;
  } else if (errno != ENOENT && errno != ENOTDIR) {
    trouble_ = fmt::format("cannot watch {}: {}; {}", path, std::strerror(errno),
                           errno == ENOSPC ? "raise fs.inotify.max_user_watches" : "check the directory's permissions");
  }
  return descriptor;
}

void DirectoryWatch::arm_path(const std::string& path, const Interest& interest) {
  std::vector<std::string> left = parts_of(path);
  std::reverse(left.begin(), left.end());
  std::string at;  // resolved so far; empty: the root
  for (int links = 0; !left.empty();) {
    const std::string part = std::move(left.back());
    left.pop_back();
    if (part == "..") {
      at.erase(std::min(at.size(), at.rfind('/')));
      continue;
    }
    const int descriptor = watch(at.empty() ? "/" : at);
    if (descriptor < 0) return;
    entries_[{descriptor, part}].insert(interest);
    std::error_code error;
    const std::filesystem::path step = at + "/" + part;
    const auto target = std::filesystem::read_symlink(step, error);
    if (error) {  // no link: go on below it, as far as there is something
      if (!std::filesystem::exists(std::filesystem::symlink_status(step, error))) return;
      at = step.string();
      continue;
    }
    if (++links > kLinksMax) return;
    if (target.is_absolute()) at.clear();
    auto more = parts_of(target.string());
    left.insert(left.end(), std::make_move_iterator(more.rbegin()), std::make_move_iterator(more.rend()));
  }
}

}  // namespace cortexflow::source
