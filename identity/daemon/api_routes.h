// SPDX-License-Identifier: Apache-2.0
// The API's paths, over whatever server knows who is asking: HTTP and JSON.
#pragma once

#include <httplib.h>

#include <functional>
#include <string>

#include "identity/issuer.h"

namespace cortexflow::identity {

class ApiRoutes {
 public:
  static constexpr std::size_t kBodyMax = 1U << 19U;  // a chain to verify, as JSON

  // `issuer` has to outlive it; `who` is asked by the thread that handles a request, of whom it is.
  ApiRoutes(Issuer& issuer, std::string version, std::function<Principal()> who)
      : issuer_(issuer), version_(std::move(version)), who_(std::move(who)) {}

  // Says before a body is read whether it will be.
  using Admit = std::function<std::optional<Refusal>(const httplib::Request&)>;

  // What workloads ask for, and how each refusal looks.  `this` has to outlive the server's work.
  void add_to(httplib::Server& server, Admit admit = {});
  // What is the operator's beside: the rotation of roots, the state.
  void add_operation_to(httplib::Server& server);

 private:
  void issue(const httplib::Request& request, httplib::Response& response);
  void list(const httplib::Request& request, httplib::Response& response);
  void revoke(const httplib::Request& request, httplib::Response& response);
  void verify(const httplib::Request& request, httplib::Response& response);
  void bundle(const httplib::Request& request, httplib::Response& response);
  void rotate(const httplib::Request& request, httplib::Response& response);
  void revocation_list(const httplib::Request& request, httplib::Response& response);
  void status(const httplib::Request& request, httplib::Response& response);
  [[nodiscard]] httplib::Server::Handler to(void (ApiRoutes::*serve)(const httplib::Request&, httplib::Response&));

  Issuer& issuer_;
  const std::string version_;
  const std::function<Principal()> who_;
};

}  // namespace cortexflow::identity
