// SPDX-License-Identifier: Apache-2.0
#include "identity/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "agent/base/fd.h"

namespace cortexflow::identity {
namespace {

constexpr off_t kFileMax = 1L << 18L;
constexpr std::size_t kPassphraseMin = 12;

// A kubelet hands secrets to a user that is not root so: root's file, which a group that the pod alone has may read.
bool is_of_pod(const struct stat& status) {
  if (geteuid() == 0 || status.st_uid != 0 || (status.st_mode & 037) != 0) return false;
  std::array<gid_t, 64> groups{};
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  return status.st_gid == getegid() || std::find(groups.begin(), groups.begin() + std::max(count, 0), status.st_gid) !=
                                           groups.begin() + std::max(count, 0);
}

}  // namespace

Result<Secret> read_small_file(const std::string& path, Privacy privacy) {
  // Not to wait for the writer of a pipe.
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!file || fstat(file.get(), &status) != 0) return fail_errno(fmt::format("cannot read {}", path), errno);
  if (!S_ISREG(status.st_mode)) return fail("{} is no regular file", path);
  if (status.st_size > kFileMax) return fail("{} is longer than {} octets", path, kFileMax);
  if (privacy == Privacy::kOwner && (status.st_mode & 077) != 0 && !is_of_pod(status)) {
    return tl::make_unexpected(Error{
        fmt::format("{} may be read or written by others than its owner (mode {:o})", path, status.st_mode & 0777),
        fmt::format("chmod 600 {}", path)});
  }
  std::vector<char> buffer(static_cast<std::size_t>(kFileMax));
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t got = read(file.get(), buffer.data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(fmt::format("cannot read {}", path), errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  Secret text({buffer.data(), size});
  OPENSSL_cleanse(buffer.data(), buffer.size());
  return text;
}

Result<Secret> read_passphrase(const std::string& path) {
  const auto hint = fmt::format("make one: (umask 077 && openssl rand -base64 32 >{})", path);
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    return tl::make_unexpected(Error{fmt::format("there is no passphrase in {}", path), hint});
  }
  const auto text = read_small_file(path, Privacy::kOwner);
  if (!text) return tl::make_unexpected(text.error());
  const auto line = text->view().substr(0, text->view().find_first_of("\r\n"));
  if (line.size() < kPassphraseMin) {
    return tl::make_unexpected(
        Error{fmt::format("the passphrase in {} is shorter than {} octets", path, kPassphraseMin), hint});
  }
  return Secret(line);
}

}  // namespace cortexflow::identity
