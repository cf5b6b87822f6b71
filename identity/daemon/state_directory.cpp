// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>

namespace cortexflow::identity {

Result<std::unique_ptr<Storage>> StateDirectory::open(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail_errno(fmt::format("cannot make {}", path), error.value());
  Fd held(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!held || fchmod(held.get(), 0700) != 0) return fail_errno(fmt::format("cannot use {}", path), errno);
  if (flock(held.get(), LOCK_EX | LOCK_NB) != 0) {
    return tl::make_unexpected(
        Error{fmt::format("another certificate authority is running: it holds {}", path),
              "stop it first (systemctl stop cfidentity, or cfagent with identity.mode embedded), or set another "
              "state_dir"});
  }
  return std::unique_ptr<Storage>(new StateDirectory(path, std::move(held)));
}

}  // namespace cortexflow::identity
