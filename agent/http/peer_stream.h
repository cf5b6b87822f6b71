// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <httplib.h>

#include <array>

#include "agent/http/workers.h"

namespace cortexflow::http {

// A connection as httplib reads and writes it, on a thread of `workers`.  Its request has to be there within
// kRequestMax, in all; each part of the answer is taken by the peer within kAnswerStallMax.
class PeerStream : public httplib::Stream {
 public:
  static constexpr std::chrono::seconds kRequestMax{5};
  static constexpr std::chrono::seconds kAnswerStallMax{5};

  PeerStream(int fd, Workers& workers) : fd_(fd), workers_(workers), end_(Workers::Clock::now() + kRequestMax) {}

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* to, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  // Nobody asks for them.
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return fd_; }

 private:
  int fd_;
  Workers& workers_;
  Workers::Clock::time_point end_;  // of the request
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0, filled_ = 0;
};

}  // namespace cortexflow::http
