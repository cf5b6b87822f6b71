// SPDX-License-Identifier: Apache-2.0
#include "cli/unix_transport.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace cortexflow::cli {
namespace {

class UnixConnection : public Connection {
 public:
  UnixConnection(const std::string& path, const UnixTransport& transport) : http_(path, 80), transport_(transport) {
    http_.set_address_family(AF_UNIX);
    http_.set_read_timeout(std::chrono::seconds(10));  // a followed stream has a line each second
  }
  httplib::ClientImpl& http() override { return http_; }
  Error no_answer(httplib::Error) override { return transport_.unreachable(); }

 private:
  httplib::ClientImpl http_;
  UnixTransport transport_;
};

}  // namespace

Result<void> UnixTransport::check_path() const {
  constexpr std::size_t kMax = sizeof(sockaddr_un::sun_path) - 1;
  if (!path_.empty() && path_.size() <= kMax) return {};
  return tl::make_unexpected(Error{fmt::format("socket path \"{}\" has {} octets", path_, path_.size()),
                                   fmt::format("a Unix socket's path has 1 to {}: see {}", kMax, peer_.flag)});
}

Result<std::unique_ptr<Connection>> UnixTransport::connect() const {
  if (auto path_ok = check_path(); !path_ok) return tl::make_unexpected(std::move(path_ok.error()));
  return std::make_unique<UnixConnection>(path_, *this);
}

Result<Fd> UnixTransport::connect_raw() const {
  if (auto path_ok = check_path(); !path_ok) return tl::make_unexpected(std::move(path_ok.error()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  return tl::make_unexpected(cannot_connect(errno));
}

Error UnixTransport::unreachable() const {
  if (const auto connected = connect_raw(); !connected) return connected.error();
  return {fmt::format("the {} at {} took the request and did not answer it", peer_.name, path_),
          fmt::format("see its log (journalctl -u {})", peer_.unit)};
}

Error UnixTransport::cannot_connect(int errno_value) const {
  const auto start =
      fmt::format("start it (sudo systemctl start {}), or name its socket with {}", peer_.unit, peer_.flag);
  switch (errno_value) {
    case EAGAIN:
      return {fmt::format("the {} at {} takes no more requests: its queue is full", peer_.name, path_),
              fmt::format("it is busy or stopped: try again, or see its log (journalctl -u {})", peer_.unit)};
    case EACCES:
      return {fmt::format("no right to use {}", path_), "use sudo, or join group cortexflow"};
    case ENOENT:
      return {fmt::format("no {} is running: there is no {}", peer_.name, path_), start};
    case ECONNREFUSED:
      return {fmt::format("no {} is running: nothing answers on {}", peer_.name, path_), start};
    default:
      return {fmt::format("cannot connect to {}: {}", path_, std::strerror(errno_value)), start};
  }
}

}  // namespace cortexflow::cli
