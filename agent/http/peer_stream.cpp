// SPDX-License-Identifier: Apache-2.0
#include "agent/http/peer_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace cortexflow::http {

bool PeerStream::is_readable() const { return begin_ < filled_ || workers_.wait(fd_, POLLIN, end_); }

bool PeerStream::is_writable() const { return workers_.wait(fd_, POLLOUT, Workers::Clock::now() + kAnswerStallMax); }

ssize_t PeerStream::read(char* to, std::size_t size) {
  if (begin_ == filled_) {
    if (!is_readable()) return -1;
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

ssize_t PeerStream::write(const char* from, std::size_t size) {
  return is_writable() ? send(fd_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
}

}  // namespace cortexflow::http
