// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/cgroup_paths.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

namespace cortexflow::flow {
namespace {

constexpr int kFileidKernfs = 0xfe;  // FILEID_KERNFS, include/linux/exportfs.h

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string_view next_part(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// mountinfo writes space, tab, newline and backslash as \040 and so on.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && text.size() - i > 3 && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

std::optional<CgroupMount> find_cgroup2_mount(std::string_view mountinfo) {
  std::optional<CgroupMount> found;
  while (!mountinfo.empty()) {
    std::string_view line = next_part(mountinfo, '\n');
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) continue;
    for (int skipped = 0; skipped < 3; ++skipped) next_part(line, ' ');  // mount id, parent id, device
    std::string root = unescape(next_part(line, ' '));
    std::string point = unescape(next_part(line, ' '));
    if (root == "/") return CgroupMount{std::move(root), std::move(point)};
    if (!found) found = CgroupMount{std::move(root), std::move(point)};
  }
  return found;
}

std::string cgroup_path_below(const CgroupMount& mount, std::string_view directory) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (directory.ends_with(kDeleted)) directory.remove_suffix(kDeleted.size());
  const bool below = directory.starts_with(mount.point) &&
                     (directory.size() == mount.point.size() || directory[mount.point.size()] == '/');
  // A cgroup outside of a bind mount's part is shown by its path in the hierarchy alone.
  if (!below) return std::string(directory);
  std::string path = mount.root == "/" ? std::string{} : mount.root;
  path += directory.substr(mount.point.size());
  return path.empty() ? "/" : path;
}

std::string longest_cgroup_path(std::string_view proc_cgroup) {
  std::string_view longest;
  while (!proc_cgroup.empty()) {
    std::string_view line = next_part(proc_cgroup, '\n');
    next_part(line, ':');  // hierarchy id
    next_part(line, ':');  // controllers
    if (line.size() > longest.size()) longest = line;
  }
  return std::string(longest);
}

CgroupPaths::CgroupPaths(int mount_fd, CgroupMount mount) : mount_fd_(mount_fd), mount_(std::move(mount)) {}

CgroupPaths::CgroupPaths(CgroupPaths&& other) noexcept
    : mount_fd_(std::exchange(other.mount_fd_, -1)), mount_(std::move(other.mount_)) {}

CgroupPaths& CgroupPaths::operator=(CgroupPaths&& other) noexcept {
  std::swap(mount_fd_, other.mount_fd_);
  std::swap(mount_, other.mount_);
  return *this;
}

CgroupPaths::~CgroupPaths() {
  if (mount_fd_ >= 0) ::close(mount_fd_);
}

Result<CgroupPaths> CgroupPaths::open() {
  auto mount = find_cgroup2_mount(read_text("/proc/self/mountinfo"));
  if (!mount) {
    return tl::make_unexpected(Error{"no cgroup v2 hierarchy is mounted", "mount -t cgroup2 none /sys/fs/cgroup"});
  }
  const int fd = ::open(mount->point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno("cannot open " + mount->point, errno);
  return CgroupPaths(fd, std::move(*mount));
}

std::optional<std::string> CgroupPaths::path_of(std::uint64_t cgroup_id) const {
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof(cgroup_id)> room{};
  auto* handle = reinterpret_cast<file_handle*>(room.data());
  handle->handle_bytes = sizeof(cgroup_id);
  handle->handle_type = kFileidKernfs;
  std::memcpy(room.data() + sizeof(file_handle), &cgroup_id, sizeof(cgroup_id));
  const int fd = ::open_by_handle_at(mount_fd_, handle, O_PATH | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::vector<char> target(PATH_MAX);
  const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
  ::close(fd);
  if (length <= 0) return std::nullopt;
  return cgroup_path_below(mount_, std::string_view(target.data(), static_cast<std::size_t>(length)));
}

std::optional<std::string> cgroup_path_of_process(std::uint32_t pid) {
  // One that has ended and is not waited for yet is in the root of cgroup v1, wherever it was.
  const auto status = read_text(fmt::format("/proc/{}/stat", pid));
  const auto state = status.rfind(") ");
  if (state == std::string::npos || status.compare(state + 2, 1, "Z") == 0) return std::nullopt;
  std::string path = longest_cgroup_path(read_text(fmt::format("/proc/{}/cgroup", pid)));
  if (path.empty()) return std::nullopt;
  return path;
}

bool has_cgroup_v1() {
  std::istringstream lines(read_text("/proc/self/cgroup"));  // "hierarchy:controllers:path", 0:: for v2
  for (std::string line; std::getline(lines, line);) {
    const auto controllers = line.find(':') + 1;
    if (line[controllers] != ':' && line.compare(controllers, 5, "name=") != 0) return true;
  }
  return false;
}

}  // namespace cortexflow::flow
