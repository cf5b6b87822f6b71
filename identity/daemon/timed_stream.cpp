// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/timed_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace cortexflow::identity {

bool TimedStream::is_readable() const { return begin_ < filled_ || wait(POLLIN); }

bool TimedStream::is_writable() const { return wait(POLLOUT); }

ssize_t TimedStream::read(char* to, std::size_t size) {
  if (begin_ == filled_) {
    if (taken_ >= kRequestMax || !wait(POLLIN)) return -1;
    const ssize_t got = recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got <= 0) return got;
    begin_ = 0;
    filled_ = static_cast<std::size_t>(got);
    taken_ += filled_;
  }
  const auto count = std::min(size, filled_ - begin_);
  std::copy_n(buffer_.data() + begin_, count, to);
  begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t TimedStream::write(const char* from, std::size_t size) {
  return wait(POLLOUT) ? send(fd_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
}

bool TimedStream::wait(short events) const {
  using std::chrono::milliseconds;
  const auto left = std::chrono::duration_cast<milliseconds>(end_ - std::chrono::steady_clock::now()).count();
  pollfd ready{fd_, events, 0};
  return left > 0 && poll(&ready, 1, static_cast<int>(left)) > 0;
}

}  // namespace cortexflow::identity
