// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/http_rules.h"

#include "agent/control/response.h"

namespace cortexflow::identity {

void refuse(httplib::Response& response, const Refusal& refusal) {
  control::refuse(response, refusal.status, refusal.error);
}

std::optional<Refusal> refusal_of_body(const httplib::Request& request, std::size_t octets_max) {
  const bool may_have = request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
  if (may_have && !request.has_header("Content-Length") && !request.has_header("Transfer-Encoding")) {
    return Refusal{411, {"the body's length is missing", "send Content-Length"}};
  }
  if (request.get_header_value<std::uint64_t>("Content-Length") > octets_max) {
    return Refusal{413, {"the request's body is too large", fmt::format("{} octets are taken", octets_max)}};
  }
  if (!request.has_header("Content-Encoding")) return std::nullopt;
  return Refusal{415, {"a compressed body is not taken", "send it as it is, without Content-Encoding"}};
}

void add_errors(httplib::Server& server) {
  server.set_exception_handler([](const auto&, httplib::Response& response, const std::exception_ptr&) {
    control::refuse(response, 500, {"the request failed", "see the log of cfidentity"});
  });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 413) return control::refuse(response, 413, {"the request's body is too large", {}});
    if (response.status == 404) {
      return control::refuse(response, 404, {fmt::format("there is no {} {}", request.method, request.path), {}});
    }
    control::refuse(response, response.status, {"the request was not understood", {}});
  });
}

}  // namespace cortexflow::identity
