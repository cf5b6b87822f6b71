// SPDX-License-Identifier: Apache-2.0
// The API over HTTPS, for callers of other machines and of pods.  Each shows a bearer token; the API server says whose
// it is (TokenReview), and a service account is the workload spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME.
#pragma once

#include <httplib.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/http/workers.h"
#include "agent/source/kubernetes/token_reviewer.h"
#include "identity/daemon/api_routes.h"
#include "identity/server_certificate.h"

namespace cortexflow::identity {

struct HttpsSettings {
  std::string address;  // to bind to, without brackets
  std::uint16_t port = 0;
  // That a service account may have; {namespace} and {service_account} stand for its own.
  std::vector<std::string> dns_names;
};

// One request a connection: handshake and request within kRequestMax, each part of the answer within kStallMax,
// kThreads at a time; the oldest of those that are waited for ends when another comes and finds no thread.  More than
// kConnectionsMax are hung up on.
class HttpsServer : private httplib::Server {
 public:
  static constexpr std::size_t kThreads = 32;
  static constexpr std::size_t kConnectionsMax = 256;
  static constexpr std::chrono::seconds kRequestMax{10};
  static constexpr std::chrono::seconds kStallMax{5};

  // All have to outlive it.
  HttpsServer(Issuer& issuer, ServerCertificate& certificate, source::TokenReviewer& reviewer, HttpsSettings settings,
              std::string version);
  ~HttpsServer() override;

  [[nodiscard]] Result<void> start();
  // Answers what has begun; a peer that is slow about it is cut off.
  void stop();

  struct Figures {
    std::uint64_t connections = 0;                 // that stand
    std::uint64_t requests = 0;                    // that had a handshake and an answer
    std::map<std::string, std::uint64_t> refused;  // connections by why: "full", "no_certificate", "handshake"
  };
  [[nodiscard]] Figures figures() const;

 private:
  class Queue;
  class Stream;
  bool process_and_close_socket(socket_t socket) override;
  [[nodiscard]] std::optional<Refusal> admit(const httplib::Request& request);
  [[nodiscard]] Principal principal_of(const source::TokenReview& review) const;
  void let_go(int socket);
  void count(const std::string& why);

  Issuer& issuer_;
  ServerCertificate& certificate_;
  source::TokenReviewer& reviewer_;
  const HttpsSettings settings_;
  ApiRoutes routes_;
  std::atomic<std::uint64_t> connections_ = 0, requests_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> refused_;
  int listener_ = -1;  // httplib's
  std::unique_ptr<http::Workers> workers_;
  std::thread accepts_;
};

}  // namespace cortexflow::identity
