// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/base/fd.h"
#include "cli/transport.h"

namespace cortexflow::cli {

class UnixTransport : public Transport {
 public:
  // What its errors call the other side, and say to start.
  struct Peer {
    std::string name = "agent";
    std::string unit = "cfagent";
    std::string flag = "--socket";
  };

  explicit UnixTransport(std::string path) : path_(std::move(path)) {}
  UnixTransport(std::string path, Peer peer) : path_(std::move(path)), peer_(std::move(peer)) {}

  [[nodiscard]] Result<std::unique_ptr<Connection>> connect() const override;
  // A socket that is connected, with no HTTP on it.
  [[nodiscard]] Result<Fd> connect_raw() const;
  // Why there was no answer, asked again without HTTP in between.
  [[nodiscard]] Error unreachable() const;

 private:
  [[nodiscard]] Result<void> check_path() const;
  [[nodiscard]] Error cannot_connect(int errno_value) const;

  std::string path_;
  Peer peer_;
};

}  // namespace cortexflow::cli
