// SPDX-License-Identifier: Apache-2.0
// The API on a Unix socket that everybody may open; the kernel says who asks.
#pragma once

#include <future>
#include <optional>
#include <string>

#include "agent/base/connections.h"
#include "agent/base/result.h"
#include "identity/daemon/api_routes.h"
#include "identity/daemon/peer_server.h"

namespace cortexflow::identity {

class Api {
 public:
  // `issuer` has to outlive it.
  Api(Issuer& issuer, std::string socket_path, std::string version);
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;
  ~Api();

  // Refused where something answers on the socket already, or where its path is no socket.
  [[nodiscard]] Result<void> start();
  // Answers what has begun, and removes the socket.
  void stop();

 private:
  std::string socket_path_;
  ApiRoutes routes_;
  PeerServer http_;
  int listener_ = -1;  // http_'s
  std::optional<Connections> connections_;
  std::future<void> served_;  // valid while it listens
};

}  // namespace cortexflow::identity
