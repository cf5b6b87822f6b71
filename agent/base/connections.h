// SPDX-License-Identifier: Apache-2.0
// The connections that a listening stream socket of this process took, for a server that has to go on, or to end, while
// a peer sends a request that never ends, or does not read its answer.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

namespace cortexflow {

class Connections {
 public:
  // Of this socket, which may be closed later.
  explicit Connections(int listener) : name_(name_of(listener)) {}

  // Ends them all; whoever reads or writes one in this process sees its end.
  void shut() {
    each([](int fd) { shutdown(fd, SHUT_RDWR); });
  }

 private:
  template <typename Function>
  void each(Function function) const {
    std::error_code error;
    for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
         at.increment(error)) {
      const std::string text = at->path().filename();
      int fd = -1;
      std::from_chars(text.data(), text.data() + text.size(), fd);
      int listens = 1;
      socklen_t size = sizeof listens;
      if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 0) continue;
      if (same(name_of(fd))) function(fd);
    }
  }

  static sockaddr_storage name_of(int fd) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
    return name;
  }

  // A connection has the listener's path, or its port: the address need not be the one that was bound.
  [[nodiscard]] bool same(const sockaddr_storage& other) const {
    if (name_.ss_family != other.ss_family) return false;
    if (name_.ss_family == AF_UNIX) return std::memcmp(&name_, &other, sizeof(sockaddr_un)) == 0;
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    return (name_.ss_family == AF_INET || name_.ss_family == AF_INET6) &&
           reinterpret_cast<const sockaddr_in&>(name_).sin_port == reinterpret_cast<const sockaddr_in&>(other).sin_port;
  }

  sockaddr_storage name_;
};

}  // namespace cortexflow
