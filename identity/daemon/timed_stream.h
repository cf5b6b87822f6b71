// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <httplib.h>

#include <array>
#include <chrono>

namespace cortexflow::identity {

// A connection for httplib, until its time is up: whoever reads or writes slowly holds a thread no longer; and of no
// more than kRequestMax, which httplib does not see to where a body comes in chunks.
class TimedStream : public httplib::Stream {
 public:
  static constexpr std::size_t kRequestMax = (1U << 19U) + (1U << 16U);  // octets: the longest body, and a head

  TimedStream(int fd, std::chrono::seconds most) : fd_(fd), end_(std::chrono::steady_clock::now() + most) {}

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* to, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string&, int&) const override {}  // nobody asks
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return fd_; }

 private:
  [[nodiscard]] bool wait(short events) const;

  int fd_;
  std::chrono::steady_clock::time_point end_;
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0, filled_ = 0;
  std::size_t taken_ = 0;  // in all
};

}  // namespace cortexflow::identity
