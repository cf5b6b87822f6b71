// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/peer_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

#include "agent/base/fd.h"

namespace cortexflow::identity {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kConnectionMax{10};

thread_local const Caller* calling = nullptr;

// The connection, until its time is up.
class PeerStream : public httplib::Stream {
 public:
  explicit PeerStream(int fd) : fd_(fd), end_(steady_clock::now() + kConnectionMax) {}

  bool is_readable() const override { return begin_ < filled_ || wait(POLLIN); }
  bool is_writable() const override { return wait(POLLOUT); }
  ssize_t read(char* to, std::size_t size) override {
    if (begin_ == filled_) {
      if (!wait(POLLIN)) return -1;
      const ssize_t got = recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got <= 0) return got;
      begin_ = 0;
      filled_ = static_cast<std::size_t>(got);
    }
    const auto count = std::min(size, filled_ - begin_);
    std::copy_n(buffer_.data() + begin_, count, to);
    begin_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, std::size_t size) override {
    return wait(POLLOUT) ? send(fd_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}  // a Unix socket's peer has none
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return fd_; }

 private:
  bool wait(short events) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - steady_clock::now()).count();
    pollfd ready{fd_, events, 0};
    return left > 0 && poll(&ready, 1, static_cast<int>(left)) > 0;
  }

  int fd_;
  steady_clock::time_point end_;
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0, filled_ = 0;
};

}  // namespace

const Caller& PeerServer::caller() { return *calling; }

bool PeerServer::enters(uid_t uid) {
  const std::lock_guard lock(mutex_);
  if (busy_[uid] >= kPerUser) return false;
  ++busy_[uid];
  return true;
}

void PeerServer::leaves(uid_t uid) {
  const std::lock_guard lock(mutex_);
  if (--busy_[uid] == 0) busy_.erase(uid);
}

bool PeerServer::process_and_close_socket(socket_t socket) {
  const Fd owned(socket);
  const auto caller = caller_of(socket);
  if (!caller || !enters(caller->uid)) return false;
  calling = &*caller;
  PeerStream stream(socket);
  bool closed = false;
  const bool done = process_request(stream, true, closed, nullptr);
  calling = nullptr;
  leaves(caller->uid);
  ::shutdown(socket, SHUT_RDWR);
  return done;
}

}  // namespace cortexflow::identity
