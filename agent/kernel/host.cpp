// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/host.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace cortexflow::kernel {
namespace {

constexpr const char* kBpfFs = "/sys/fs/bpf";

bool is_file_system(const std::string& path, long magic) {
  struct statfs info{};
  return statfs(path.c_str(), &info) == 0 && static_cast<long>(info.f_type) == magic;
}

}  // namespace

void show_libbpf_messages(bool show) {
  if (!show) libbpf_set_print(nullptr);
}

Result<void> check_host() {
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    return tl::make_unexpected(Error{"this kernel offers no type information (/sys/kernel/btf/vmlinux is not there)",
                                     "run a kernel built with CONFIG_DEBUG_INFO_BTF, as Debian's are since 5.10"});
  }
  const int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "cf_probe", 0, 0, 4096, nullptr);
  if (fd >= 0) {
    close(fd);
    return {};
  }
  if (fd == -EPERM || fd == -EACCES) {
    return tl::make_unexpected(Error{"no right to load BPF programs",
                                     "run as root, or grant CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN"});
  }
  return fail_errno(fmt::format("kernel {} has no BPF ring buffer", kernel_release()), -fd, "use Linux 5.10 or newer");
}

Result<std::string> find_cgroup_root(const std::string& configured) {
  if (!configured.empty()) {
    if (is_file_system(configured, CGROUP2_SUPER_MAGIC)) return configured;
    return tl::make_unexpected(
        Error{fmt::format("cgroup_root {} is not in a cgroup v2 file system", configured),
              "leave it out to observe the whole machine, or name a directory below the cgroup v2 mount "
              "(/sys/fs/cgroup, or /sys/fs/cgroup/unified on hybrid hosts)"});
  }
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const auto separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::string type;
    std::istringstream(line.substr(separator + 3)) >> type;
    if (type != "cgroup2") continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, mount_point;
    fields >> id >> parent >> device >> root >> mount_point;
    if (root == "/") return mount_point;
  }
  return tl::make_unexpected(Error{"no cgroup v2 file system is mounted", "mount -t cgroup2 none /sys/fs/cgroup"});
}

Result<void> check_pin_path(const std::string& pin_path) {
  const bool mountable = pin_path.starts_with(kBpfFs) && !is_file_system(kBpfFs, BPF_FS_MAGIC);
  std::error_code error;
  auto there = std::filesystem::absolute(pin_path);  // the part of it that exists
  while (!std::filesystem::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  constexpr ino_t kRootInode = 1;  // kernel/bpf/inode.c has its root made by simple_fill_super()
  struct stat status{};
  if (is_file_system(there, BPF_FS_MAGIC) && there == std::filesystem::absolute(pin_path) &&
      stat(there.c_str(), &status) == 0 && status.st_ino == kRootInode) {
    return tl::make_unexpected(Error{fmt::format("{} is the root of a BPF file system, where others pin too", pin_path),
                                     "choose a --pin-path of the agent's own below it, as /sys/fs/bpf/cortexflow"});
  }
  if (mountable || is_file_system(there, BPF_FS_MAGIC)) return {};
  return tl::make_unexpected(
      Error{fmt::format("{} is not in a BPF file system", pin_path), "choose a --pin-path below /sys/fs/bpf"});
}

Result<void> prepare_pin_path(const std::string& pin_path) {
  std::error_code error;
  if (pin_path.starts_with(kBpfFs) && !is_file_system(kBpfFs, BPF_FS_MAGIC)) {
    if (::mount("bpf", kBpfFs, "bpf", 0, "mode=0700") != 0) {
      return fail_errno(fmt::format("cannot mount the BPF file system at {}", kBpfFs), errno,
                        "mount -t bpf bpf /sys/fs/bpf on the host");
    }
  }
  if (auto ok = check_pin_path(pin_path); !ok) return ok;  // before anything is made
  std::filesystem::create_directories(pin_path, error);
  if (error) return fail("cannot make {}: {}", pin_path, error.message());
  return {};
}

std::string kernel_release() {
  utsname name{};
  return uname(&name) == 0 ? name.release : "unknown";
}

}  // namespace cortexflow::kernel
