// SPDX-License-Identifier: Apache-2.0
// The API over HTTPS, for callers of other machines and of pods.  Each shows a bearer token; the API server says whose
// it is (TokenReview), and a service account is the workload spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME.
#pragma once

#include <string>
#include <vector>

#include "agent/source/kubernetes/token_reviewer.h"
#include "identity/daemon/api_routes.h"
#include "identity/daemon/tls_server.h"

namespace cortexflow::identity {

struct HttpsSettings {
  std::string address;  // to bind to, without brackets
  std::uint16_t port = 0;
  // That a service account may have; {namespace} and {service_account} stand for its own.
  std::vector<std::string> dns_names;
};

class HttpsServer {
 public:
  // All have to outlive it.
  HttpsServer(Issuer& issuer, TlsServer::Certificate certificate, source::TokenReviewer& reviewer,
              HttpsSettings settings, std::string version);

  [[nodiscard]] Result<void> start() { return server_.start(); }
  void stop() { server_.stop(); }
  [[nodiscard]] TlsServer::Figures figures() const { return server_.figures(); }

 private:
  [[nodiscard]] std::optional<Refusal> admit(const httplib::Request& request);
  [[nodiscard]] Principal principal_of(const source::TokenReview& review) const;

  Issuer& issuer_;
  source::TokenReviewer& reviewer_;
  const std::vector<std::string> dns_names_;
  ApiRoutes routes_;
  TlsServer server_;
};

}  // namespace cortexflow::identity
