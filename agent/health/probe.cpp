// SPDX-License-Identifier: Apache-2.0
#include "agent/health/probe.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace cortexflow::health {
namespace {

int connect_to(int fd, const Target& target) {
  if (target.address.is_v4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(target.port);
    std::memcpy(&to.sin_addr, target.address.octets.data() + 12, 4);
    return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(target.port);
  std::memcpy(&to.sin6_addr, target.address.octets.data(), 16);
  return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

bool would_block(int number) { return number == EAGAIN || number == EWOULDBLOCK || number == EINTR; }

}  // namespace

std::optional<Outcome> Probe::start() {
  const int family = target_.address.is_v4() ? AF_INET : AF_INET6;
  socket_ = Fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return Outcome{CheckResult::kNotAsked, std::strerror(errno)};
  if (connect_to(socket_.get(), target_) == 0) return connected();
  return errno == EINPROGRESS ? std::nullopt : std::optional(outcome_of_errno(errno));
}

std::optional<Outcome> Probe::connected() {
  connected_ = true;
  exchange_ = make_exchange(target_);
  if (!exchange_) return Outcome{CheckResult::kHealthy, "connected"};
  unsent_ = exchange_->take_output();
  return send_all();
}

std::optional<Outcome> Probe::go_on() {
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return outcome_of_errno(error);
    // No error yet and not connected either: woken for nothing.
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) return std::nullopt;
    if (auto ended = connected()) return ended;
  }
  if (auto ended = send_all()) return ended;
  return receive();
}

std::optional<Outcome> Probe::send_all() {
  while (!unsent_.empty()) {
    const auto sent = send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (would_block(errno)) return std::nullopt;
      // The backend may have answered before it closed: what it said counts.
      const int number = errno;
      unsent_.clear();
      auto ended = receive();
      return ended ? ended : outcome_of_errno(number);
    }
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  return std::nullopt;
}

std::optional<Outcome> Probe::receive() {
  std::array<char, 4096> buffer;
  for (;;) {
    const auto got = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) return would_block(errno) ? std::nullopt : std::optional(outcome_of_errno(errno));
    if (got == 0) return Outcome{CheckResult::kClosed, "closed without an answer"};
    if (auto ended = exchange_->received({buffer.data(), static_cast<std::size_t>(got)})) return ended;
    unsent_ += exchange_->take_output();
    if (auto ended = send_all()) return ended;
  }
}

Outcome Probe::timed_out() const {
  return {CheckResult::kTimeout,
          fmt::format("{} within {} ms", connected_ ? "no answer" : "no connection", target_.check.timeout.count())};
}

}  // namespace cortexflow::health
