// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/https_server.h"

#include <strings.h>

#include "identity/daemon/name_template.h"

namespace cortexflow::identity {
namespace {

thread_local const Principal* showed = nullptr;  // the token of the request that this thread handles

Refusal refusal_of(const source::TokenReview& review, const std::string& audience) {
  using source::TokenResult;
  switch (review.result) {
    case TokenResult::kNoServiceAccount:
      return {403, {review.why, "show a service account's token"}};
    case TokenResult::kUnreachable:
    case TokenResult::kNotUnderstood:
      return {503, {"the token could not be reviewed: " + review.why, "try again; see the log of the API server"}};
    case TokenResult::kBusy:
      return {503, {review.why, "try again"}};
    default:
      return {401,
              {"the token is not taken: " + review.why,
               fmt::format("show a service account's token that has not expired, for the audience {}", audience)}};
  }
}

}  // namespace

HttpsServer::HttpsServer(Issuer& issuer, TlsServer::Certificate certificate, source::TokenReviewer& reviewer,
                         HttpsSettings settings, std::string version)
    : issuer_(issuer),
      reviewer_(reviewer),
      dns_names_(std::move(settings.dns_names)),
      routes_(issuer, std::move(version), [] { return *showed; }),
      server_(std::move(certificate), {settings.address, settings.port, "listen", ApiRoutes::kBodyMax}) {
  routes_.add_to(server_.routes(), [this](const httplib::Request& request) { return admit(request); });
}

std::optional<Refusal> HttpsServer::admit(const httplib::Request& request) {
  showed = nullptr;
  constexpr std::string_view kScheme = "bearer ";  // in any case (RFC 9110, 11.1)
  const auto shown = request.get_header_value("Authorization");
  const bool once = request.get_header_value_count("Authorization") == 1;
  if (!once || shown.size() < kScheme.size() || strncasecmp(shown.c_str(), kScheme.data(), kScheme.size()) != 0) {
    server_.count("no_token");
    return Refusal{401,
                   {"not one bearer token was shown",
                    fmt::format("send a service account's token for the audience {}: Authorization: Bearer TOKEN",
                                reviewer_.audience())}};
  }
  const auto review = reviewer_.review(shown.substr(kScheme.size()));
  if (review.result != source::TokenResult::kAuthenticated) return refusal_of(review, reviewer_.audience());
  thread_local Principal principal;
  principal = principal_of(review);
  showed = &principal;
  return std::nullopt;
}

Principal HttpsServer::principal_of(const source::TokenReview& review) const {
  Principal principal{fmt::format("service account {}/{}", review.account_namespace, review.account)};
  auto id = SpiffeId::parse(
      fmt::format("spiffe://{}/ns/{}/sa/{}", issuer_.policy().trust_domain, review.account_namespace, review.account));
  if (!id) return principal;
  std::vector<std::string> names;
  names.reserve(dns_names_.size());
  for (const auto& name : dns_names_) {
    names.push_back(fill_name(name, review.account_namespace, review.account));
  }
  principal.identities.push_back({std::move(*id), {}, {}, {}, std::move(names)});
  return principal;
}

}  // namespace cortexflow::identity
