// SPDX-License-Identifier: Apache-2.0
// Real sockets on loopback: backends that listen, callers that connect.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

#include "agent/base/fd.h"
#include "agent/model/ip_address.h"

namespace cortexflow::test {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

// As the family needs it: an IPv4 address is mapped for AF_INET6.
SocketAddress socket_address(int family, const model::IpAddress& address, std::uint16_t port);
// "10.96.0.1:80"
std::string to_text(const SocketAddress& address);
model::IpAddress ip(const std::string& text);

// Listens, or is bound for UDP, on 127.0.0.1 or ::1; answers nothing by itself.
class Backend {
 public:
  explicit Backend(int type = SOCK_STREAM, int family = AF_INET);
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Connections that wait, accepted and closed.
  int accepted();
  // UDP: answers the datagram that waits with its own octets.  False if none came in time.
  bool echo();

 private:
  Fd fd_;
  std::uint16_t port_ = 0;
};

// A socket that is connected; fd -1 and errno where that fails.
Fd connected(const std::string& address, std::uint16_t port, int family = AF_INET, int type = SOCK_STREAM);
std::string peer_of(const Fd& socket);

}  // namespace cortexflow::test
