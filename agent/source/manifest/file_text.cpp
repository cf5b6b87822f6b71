// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/file_text.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/fd.h"

namespace cortexflow::source {

Result<std::optional<std::string>> read_text(const std::string& path, std::size_t octets_max) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0 && errno == ENOENT) return std::nullopt;
  // A pipe that calls itself a manifest would have open() wait for its other end.
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file || fstat(file.get(), &status) != 0) {
    // Gone since lstat, or a link to nothing: that is a broken file, not an absent one.
    if (errno == ENOENT && lstat(path.c_str(), &status) != 0) return std::nullopt;
    return fail_errno("expected a file that can be read", errno);
  }
  if (!S_ISREG(status.st_mode)) return fail("expected a regular file");
  std::string text(static_cast<std::size_t>(status.st_size) + 1, '\0');
  std::size_t length = 0;
  while (length <= octets_max) {
    const ssize_t got = read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("expected a file that can be read", errno);
    if (got == 0) {
      text.resize(length);
      return text;
    }
    length += static_cast<std::size_t>(got);
    if (length == text.size()) text.resize(text.size() * 2);
  }
  return fail("expected no more than {} MiB", octets_max >> 20);
}

Result<std::string> read_whole(const std::string& path, std::size_t octets_max) {
  auto text = read_text(path, octets_max);
  if (!text) return tl::make_unexpected(std::move(text.error()));
  if (!*text) return fail("{}: there is no such file", path);
  return std::move(**text);
}

}  // namespace cortexflow::source
