// SPDX-License-Identifier: Apache-2.0
// cfidentity's API: HTTP and JSON on a Unix socket that everybody may open; the kernel says who asks.
#pragma once

#include <future>
#include <optional>
#include <string>

#include "agent/base/connections.h"
#include "agent/base/result.h"
#include "identity/daemon/peer_server.h"
#include "identity/issuer.h"

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
  void add_routes();
  void add_errors();
  void issue(const httplib::Request& request, httplib::Response& response);
  void list(const httplib::Request& request, httplib::Response& response);
  void revoke(const httplib::Request& request, httplib::Response& response);
  void verify(const httplib::Request& request, httplib::Response& response);
  void bundle(const httplib::Request& request, httplib::Response& response);
  void rotate(const httplib::Request& request, httplib::Response& response);
  void revocation_list(const httplib::Request& request, httplib::Response& response);
  void status(const httplib::Request& request, httplib::Response& response);

  Issuer& issuer_;
  std::string socket_path_;
  std::string version_;
  PeerServer http_;
  int listener_ = -1;  // http_'s
  std::optional<Connections> connections_;
  std::future<void> served_;  // valid while it listens
};

}  // namespace cortexflow::identity
