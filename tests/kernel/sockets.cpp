// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/sockets.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <stdexcept>

namespace cortexflow::test {

SocketAddress socket_address(int family, const model::IpAddress& address, std::uint16_t port) {
  SocketAddress out;
  if (family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.octets.data() + 12, 4);
    out.length = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(out.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address.octets.data(), 16);
    out.length = sizeof in;
  }
  return out;
}

std::string to_text(const SocketAddress& address) {
  model::IpAddress ip;
  std::uint16_t port = 0;
  if (address.storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address.storage);
    ip.octets[10] = ip.octets[11] = 0xff;
    std::memcpy(ip.octets.data() + 12, &in.sin_addr, 4);
    port = ntohs(in.sin_port);
  } else {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address.storage);
    std::memcpy(ip.octets.data(), &in.sin6_addr, 16);
    port = ntohs(in.sin6_port);
  }
  return fmt::format("{}:{}", ip.to_string(), port);
}

model::IpAddress ip(const std::string& text) {
  model::IpAddress out;
  if (inet_pton(AF_INET6, text.c_str(), out.octets.data()) == 1) return out;
  out.octets[10] = out.octets[11] = 0xff;
  if (inet_pton(AF_INET, text.c_str(), out.octets.data() + 12) != 1) throw std::runtime_error("no address: " + text);
  return out;
}

Backend::Backend(int type, int family) : fd_(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  auto address = socket_address(family, ip(family == AF_INET ? "127.0.0.1" : "::1"), 0);
  if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address.storage), address.length) != 0 ||
      (type == SOCK_STREAM && listen(fd_.get(), 4096) != 0) ||
      getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    throw std::runtime_error(std::string("no backend: ") + std::strerror(errno));
  }
  port_ = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in&>(address.storage).sin_port
                                  : reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port);
}

int Backend::accepted() {
  int n = 0;
  for (;; ++n) {
    const Fd one(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!one) return n;
  }
}

bool Backend::echo() {
  pollfd waiting{fd_.get(), POLLIN, 0};
  char octets[1500];
  SocketAddress from;
  from.length = sizeof from.storage;
  if (poll(&waiting, 1, 2000) != 1) return false;
  auto* sender = reinterpret_cast<sockaddr*>(&from.storage);
  const auto n = recvfrom(fd_.get(), octets, sizeof octets, 0, sender, &from.length);
  return n >= 0 && sendto(fd_.get(), octets, static_cast<std::size_t>(n), 0, sender, from.length) == n;
}

Fd connected(const std::string& address, std::uint16_t port, int family, int type) {
  Fd fd(socket(family, type | SOCK_CLOEXEC, 0));
  const auto to = socket_address(family, ip(address), port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) return Fd();
  return fd;
}

std::string peer_of(const Fd& socket) {
  SocketAddress peer;
  peer.length = sizeof peer.storage;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length) != 0)
    return std::strerror(errno);
  return to_text(peer);
}

}  // namespace cortexflow::test
