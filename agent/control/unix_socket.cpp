// SPDX-License-Identifier: Apache-2.0
#include "agent/control/unix_socket.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "agent/base/fd.h"

namespace cortexflow::control {

Result<void> claim_socket_path(const std::string& path, const SocketOwner& owner) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) {
    return fail("socket path {} is longer than {} octets", path, sizeof address.sun_path - 1);
  }
  std::error_code error;
  const auto directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  const auto status = std::filesystem::symlink_status(path, error);
  if (!std::filesystem::exists(status)) return {};
  if (!std::filesystem::is_socket(status)) {
    return tl::make_unexpected(
        Error{fmt::format("{} is there and is no socket", path), "remove it, or choose another " + owner.setting});
  }
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  // Not to wait where the other one stands still and its queue is full: that is EAGAIN, and somebody is there.
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return tl::make_unexpected(Error{fmt::format("another {} is running: {} is in use", owner.who, path),
                                     fmt::format("stop it first (systemctl stop {})", owner.unit)});
  }
  if (!std::filesystem::remove(path, error)) return fail("cannot remove {}: {}", path, error.message());
  return {};
}

void share_socket(const std::string& path, const std::string& group_name) {
  // Without the group only root gets in: safe, so not worth a failure.
  if (const struct group* found = getgrnam(group_name.c_str())) {
    if (chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) return;
  }
  chmod(path.c_str(), 0660);
}

}  // namespace cortexflow::control
