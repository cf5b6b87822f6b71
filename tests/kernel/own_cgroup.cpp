// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/own_cgroup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "agent/kernel/host.h"

namespace cortexflow::test {
namespace {

void enter(const std::string& cgroup) {
  std::ofstream procs(cgroup + "/cgroup.procs");
  procs << getpid() << std::flush;
  if (!procs) throw std::runtime_error("cannot enter " + cgroup);
}

}  // namespace

OwnCgroup::OwnCgroup() {
  const auto root = kernel::find_cgroup_root("");
  if (!root) throw std::runtime_error(root.error().to_string());
  home_ = *root;
  std::ifstream lines("/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::")) home_ += line.substr(3);
  }
  path_ = fmt::format("{}/cortexflow-test-{}", *root, getpid());
  pins_ = fmt::format("/sys/fs/bpf/cortexflow-test-{}", getpid());
  std::filesystem::create_directory(path_);
  enter(path_);
  if (const auto ready = kernel::prepare_pin_path(pins_); !ready) throw std::runtime_error(ready.error().to_string());
}

OwnCgroup::~OwnCgroup() {
  std::error_code ignored;
  std::filesystem::remove_all(pins_, ignored);
  try {
    enter(home_);
  } catch (const std::exception&) {
    return;  // it stays, empty of everything but us
  }
  rmdir(path_.c_str());
}

}  // namespace cortexflow::test
