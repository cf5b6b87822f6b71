// SPDX-License-Identifier: Apache-2.0
#include "agent/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace cortexflow {

Result<StateDirectory> StateDirectory::open(const std::string& path) {
  StateDirectory out(path);
  std::error_code ignored;  // problem() says it
  std::filesystem::create_directories(path, ignored);
  out.lock_ = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (out.lock_ && flock(out.lock_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return tl::make_unexpected(
        Error{fmt::format("another agent is running: it holds the state directory {}", path),
              "stop it first (systemctl stop cfagent), or give this one its own --state-dir, as it needs its own "
              "--pin-path, --control-socket and --metrics-listen"});
  }
  return out;
}

std::string StateDirectory::problem() const {
  // With the slash, what is no directory is no place to write either.
  if (access((path_ + "/").c_str(), W_OK) == 0) return {};
  return fmt::format("state_dir {} can't be written ({}): what operators set is refused", path_, std::strerror(errno));
}

}  // namespace cortexflow
