// SPDX-License-Identifier: Apache-2.0
// The distribution point of revocation lists (RFC 5280, 4.2.1.13): plain HTTP for everybody, GET alone.
//   /KEY-ID.crl        the complete list of the authority with that key
//   /KEY-ID-delta.crl  the delta
#pragma once

#include <httplib.h>

#include <atomic>
#include <cstdint>
#include <future>
#include <optional>
#include <string>

#include "agent/base/connections.h"
#include "identity/issuer.h"

namespace cortexflow::identity {

// One request a connection, each done within kConnectionMax; kThreads are served at a time and kWaitingMax wait, more
// are hung up on.
class ListServer : private httplib::Server {
 public:
  static constexpr std::size_t kThreads = 8;
  static constexpr std::size_t kWaitingMax = 128;

  // `issuer` has to outlive it.
  ListServer(Issuer& issuer, std::string address, std::uint16_t port);
  ~ListServer() override;

  [[nodiscard]] Result<void> start();
  void stop();

  struct Figures {
    std::uint64_t served = 0, unknown = 0, refused = 0;  // unknown: no such list
  };
  [[nodiscard]] Figures figures() const { return {served_, unknown_, refused_}; }

 private:
  class Queue;
  bool process_and_close_socket(socket_t socket) override;
  void serve(const std::string& name, httplib::Response& response);

  Issuer& issuer_;
  const std::string address_;
  const std::uint16_t port_;
  std::atomic<std::size_t> waiting_ = 0;
  std::atomic<std::uint64_t> served_ = 0, unknown_ = 0, refused_ = 0;
  int listener_ = -1;  // httplib's
  std::optional<Connections> connections_;
  std::future<void> running_;  // valid while it listens
};

}  // namespace cortexflow::identity
