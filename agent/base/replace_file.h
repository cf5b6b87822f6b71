// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow {

// The file has all of `text` or what it had before, whenever the program or the machine ends: written beside it,
// brought to disk, renamed into place.  Mode 0600; its directory is made where it is missing.
inline Result<void> replace_file(const std::string& path, std::string_view text) {
  auto directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail_errno(fmt::format("cannot make {}", directory.string()), error.value());
  const std::string beside = path + ".new";
  {
    const Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return fail_errno(fmt::format("cannot write {}", beside), errno);
    while (!text.empty()) {
      const ssize_t wrote = write(file.get(), text.data(), text.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return fail_errno(fmt::format("cannot write {}", beside), errno);
      text.remove_prefix(static_cast<std::size_t>(wrote));
    }
    if (fsync(file.get()) != 0) return fail_errno(fmt::format("cannot bring {} to disk", beside), errno);
  }
  if (std::rename(beside.c_str(), path.c_str()) != 0) return fail_errno(fmt::format("cannot replace {}", path), errno);
  const Fd folder(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || fsync(folder.get()) != 0) {
    return fail_errno(fmt::format("cannot bring {} to disk", directory.string()), errno);
  }
  return {};
}

}  // namespace cortexflow
