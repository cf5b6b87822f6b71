// SPDX-License-Identifier: Apache-2.0
// Which manifest files of some directories may have changed, by inotify (inotify(7)).
//
// Followed is what a path goes through, not only where it ends: a directory that appears later, goes away or is
// swapped, and files that are symbolic links, as Kubernetes mounts a ConfigMap (shop.yaml -> ..data/shop.yaml, ..data
// -> ..2024_1). A file that someone has open and writes to isn't ready before it is closed.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow::source {

// *.yaml, *.yml, *.json; no leading dot: that is what editors and ConfigMaps hide.
[[nodiscard]] bool is_manifest_name(std::string_view name);

class DirectoryWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Changes that come within this time are taken together.
  static constexpr std::chrono::milliseconds kSettle{2};
  // A file that is written to and not closed is taken as it is, but not as final, after this time without a write.
  static constexpr std::chrono::seconds kWriteQuiet{1};

  struct FileName {
    std::size_t directory = 0;
    std::string name;
    auto operator<=>(const FileName&) const = default;
  };
  struct Changed {
    std::set<std::size_t> directories;  // to be listed again
    std::set<FileName> files;           // of the other directories
  };

  // Everything counts as changed at first.
  static Result<DirectoryWatch> open(std::vector<std::string> directories);

  // Readable when drain() has something to read.
  [[nodiscard]] int fd() const { return inotify_.get(); }
  void drain(Time now);
  // When take() will have something; nothing: not before the fd is readable.
  [[nodiscard]] std::optional<Time> due() const;
  [[nodiscard]] Changed take(Time now);

  // Written to since: what was read of it meanwhile may be half of it.  It will be due again.
  [[nodiscard]] bool is_being_written(const FileName& file) const { return writing_.contains(file); }

  // It was taken though whoever writes it has not closed it.
  [[nodiscard]] bool is_open(const FileName& file) const { return open_.contains(file); }
  // Will be due then, whatever happens to it until then.
  void again(const FileName& file, Time when) { later_[file] = when; }

  // The symbolic links among a directory's files.  Those whose way was not followed yet are due again.
  void follow(std::size_t directory, std::set<std::string> links);

  [[nodiscard]] const std::vector<std::string>& directories() const { return directories_; }
  // Why changes may be missed (no watches left: fs.inotify.max_user_watches); empty if they are not.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  // Whom an entry of a watched directory concerns.  Without a name: all files of the directory.
  struct Interest {
    std::size_t directory = 0;
    std::string file;  // empty: the directory itself
    auto operator<=>(const Interest&) const = default;
  };

  DirectoryWatch(Fd inotify, std::vector<std::string> directories);
  void arm();
  int watch(const std::string& path);
  void arm_path(const std::string& path, const Interest& interest);
  void note(int watch, std::uint32_t mask, const std::string& name, Time now);
  void concern(const Interest& interest, std::uint32_t mask, const std::string& path, Time now);
  void touch(const Interest& interest, Time now);

  Fd inotify_;
  std::vector<std::string> directories_;
  std::vector<std::set<std::string>> links_;                           // by directory
  std::map<int, std::string> paths_;                                   // of the watches
  std::map<int, std::set<std::size_t>> contents_;                      // watches of the directories themselves
  std::map<std::pair<int, std::string>, std::set<Interest>> entries_;  // what paths go through
  Changed changed_;
  std::optional<Time> first_change_;
  std::map<FileName, Time> writing_;  // since when it is quiet
  std::set<FileName> open_;
  std::map<FileName, Time> later_;
  bool rearm_ = false;
  std::string trouble_;
};

}  // namespace cortexflow::source
