// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/process.h"

#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <fstream>

namespace cortexflow::kernel {

Result<std::string> cgroup_of_process(std::uint32_t pid) {
  std::ifstream lines(fmt::format("/proc/{}/cgroup", pid));
  if (!lines) return fail("there is no process {}", pid);
  constexpr std::string_view kVersion2 = "0::";
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kVersion2)) return line.substr(kVersion2.size());
  }
  return fail("process {} is in no cgroup v2", pid);
}

std::string netns_path(const std::string& netns) { return netns.starts_with('/') ? netns : "/run/netns/" + netns; }

std::string netns_of_process(std::uint32_t pid) { return fmt::format("/proc/{}/ns/net", pid); }

std::optional<std::uint32_t> process_in_netns(const std::string& netns) {
  struct stat wanted{};
  if (stat(netns_path(netns).c_str(), &wanted) != 0) return std::nullopt;
  std::optional<std::uint32_t> lowest;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const auto name = entry->path().filename().string();
    std::uint32_t pid = 0;
    const auto [stop, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc{} || stop != name.data() + name.size() || (lowest && pid > *lowest)) continue;
    struct stat info{};
    if (stat(netns_of_process(pid).c_str(), &info) == 0 && info.st_ino == wanted.st_ino &&
        info.st_dev == wanted.st_dev) {
      lowest = pid;
    }
  }
  return lowest;
}

std::optional<std::uint32_t> process_in_cgroup(const std::string& directory) {
  std::ifstream processes(directory + "/cgroup.procs");
  std::uint32_t pid = 0;
  if (processes >> pid) return pid;
  return std::nullopt;
}

}  // namespace cortexflow::kernel
