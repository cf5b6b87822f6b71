// SPDX-License-Identifier: Apache-2.0
// The admission webhook: POST /mutate and /validate over HTTPS, for API servers.  Whoever reaches it may ask: it says
// nothing that the question doesn't hold.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "identity/daemon/tls_server.h"
#include "identity/webhook/admission.h"

namespace cortexflow::identity {

class WebhookServer {
 public:
  // Each may hold a review of kReviewOctetsMax and what becomes of it.
  static constexpr std::size_t kThreads = 8;
  // In seconds, the last one without an end: of what an answer takes once the question is there.
  static constexpr std::array<double, 9> kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5};

  struct Settings {
    std::string address;  // to bind to, without brackets
    std::uint16_t port = 0;
    std::set<std::string> system_namespaces;  // whose pods are never enrolled
  };
  WebhookServer(TlsServer::Certificate certificate, Settings settings);

  [[nodiscard]] Result<void> start() { return server_.start(); }
  void stop() { server_.stop(); }

  struct Durations {
    std::array<std::uint64_t, kBounds.size() + 1> counts{};  // by the first bound that is not exceeded
    double sum = 0;                                          // seconds
  };
  struct Figures {
    TlsServer::Figures server;
    std::map<std::pair<std::string, std::string>, std::uint64_t> requests;  // by path and outcome
    std::map<std::string, Durations> durations;                             // by path
  };
  [[nodiscard]] Figures figures() const;

 private:
  void add(const std::string& path, std::function<Result<Admission>(const std::string& body)> decide);
  void count(const std::string& path, const std::string& outcome, std::chrono::duration<double> took);

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> requests_;
  std::map<std::string, Durations> durations_;
  TlsServer server_;  // last: its threads use the rest
};

}  // namespace cortexflow::identity
