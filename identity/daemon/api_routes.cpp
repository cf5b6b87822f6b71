// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/api_routes.h"

#include "agent/control/parameters.h"
#include "agent/control/response.h"
#include "identity/daemon/documents.h"
#include "identity/daemon/http_rules.h"
#include "identity/daemon/requests.h"

namespace cortexflow::identity {
namespace {

using control::answer;
using nlohmann::ordered_json;

Result<control::Parameters> parameters_of(const httplib::Request& request, std::vector<std::string> names) {
  control::Parameters parameters(request.params.begin(), request.params.end());
  if (auto known = control::check_names(parameters, {.own = std::move(names)}); !known) {
    return tl::make_unexpected(std::move(known.error()));
  }
  return parameters;
}

}  // namespace

httplib::Server::Handler ApiRoutes::to(void (ApiRoutes::*serve)(const httplib::Request&, httplib::Response&)) {
  return [this, serve](const httplib::Request& request, httplib::Response& response) {
    (this->*serve)(request, response);
  };
}

void ApiRoutes::add_to(httplib::Server& server, Admit admit) {
  server.set_payload_max_length(kBodyMax);
  server.set_pre_routing_handler([admit = std::move(admit)](const auto& request, auto& response) {
    auto refusal = refusal_of_body(request, kBodyMax);
    if (!refusal && admit) refusal = admit(request);
    if (!refusal) return httplib::Server::HandlerResponse::Unhandled;
    if (refusal->status == 401) response.set_header("WWW-Authenticate", "Bearer");
    refuse(response, *refusal);
    return httplib::Server::HandlerResponse::Handled;
  });
  server.Post("/v1/certificates", to(&ApiRoutes::issue));
  server.Get("/v1/certificates", to(&ApiRoutes::list));
  server.Post("/v1/revocations", to(&ApiRoutes::revoke));
  server.Post("/v1/verification", to(&ApiRoutes::verify));
  server.Get("/v1/bundle", to(&ApiRoutes::bundle));
  server.Get("/v1/crl", to(&ApiRoutes::revocation_list));
  add_errors(server);
}

void ApiRoutes::add_operation_to(httplib::Server& server) {
  server.Post("/v1/rotation", to(&ApiRoutes::rotate));
  server.Get("/v1/status", to(&ApiRoutes::status));
}

void ApiRoutes::issue(const httplib::Request& request, httplib::Response& response) {
  const auto asked = parse_issue(request.body);
  if (!asked) return control::refuse(response, 400, asked.error());
  const auto grant = issuer_.issue(who_(), asked->csr, asked->lifetime);
  if (!grant) return refuse(response, grant.error());
  auto document = json_of(*grant, issuer_.now());
  document["bundle"] = json_of(*issuer_.authorities(), issuer_.policy().trust_domain).at("bundle");
  answer(response, document);
}

void ApiRoutes::list(const httplib::Request& request, httplib::Response& response) {
  const auto parameters = parameters_of(request, {"spiffe_id", "state"});
  if (!parameters) return control::refuse(response, 400, parameters.error());
  const auto id = control::value_of(*parameters, "spiffe_id");
  const auto state = control::choice_of(*parameters, "state", {"valid", "expired", "revoked", "all"}, "all");
  if (!state) return control::refuse(response, 400, state.error());
  auto rows = ordered_json::array();
  for (const auto& entry : issuer_.entries(who_())) {
    if (id && entry.id != *id) continue;
    auto row = json_of(entry, issuer_.now());
    if (*state == "all" || row.at("state") == *state) rows.push_back(std::move(row));
  }
  answer(response, {{"certificates", std::move(rows)}});
}

void ApiRoutes::revoke(const httplib::Request& request, httplib::Response& response) {
  const auto asked = parse_revoke(request.body);
  if (!asked) return control::refuse(response, 400, asked.error());
  const auto entry = issuer_.revoke(who_(), asked->serial, asked->reason);
  if (!entry) return refuse(response, entry.error());
  answer(response, {{"certificates", ordered_json::array({json_of(*entry, issuer_.now())})}});
}

void ApiRoutes::verify(const httplib::Request& request, httplib::Response& response) {
  const auto chain = parse_verify(request.body);
  if (!chain) return control::refuse(response, 400, chain.error());
  answer(response, json_of(issuer_.verify(*chain)));
}

void ApiRoutes::bundle(const httplib::Request&, httplib::Response& response) {
  answer(response, json_of(*issuer_.authorities(), issuer_.policy().trust_domain));
}

void ApiRoutes::rotate(const httplib::Request& request, httplib::Response& response) {
  const auto step = parse_rotation(request.body);
  if (!step) return control::refuse(response, 400, step.error());
  const auto who = who_();
  if (const auto done = *step == "prepare" ? issuer_.prepare(who) : issuer_.activate(who); !done) {
    return refuse(response, done.error());
  }
  bundle(request, response);
}

void ApiRoutes::revocation_list(const httplib::Request& request, httplib::Response& response) {
  const auto parameters = parameters_of(request, {"issuer", "delta"});
  if (!parameters) return control::refuse(response, 400, parameters.error());
  const auto delta = control::flag_of(*parameters, "delta", false);
  if (!delta) return control::refuse(response, 400, delta.error());
  const auto lists = issuer_.lists(control::value_of(*parameters, "issuer"));
  if (!lists) return refuse(response, lists.error());
  response.set_content(*delta ? lists->delta : lists->complete, "application/pkix-crl");
}

void ApiRoutes::status(const httplib::Request&, httplib::Response& response) {
  const auto figures = issuer_.figures();
  answer(response, {{"version", version_},
                    {"trust_domain", issuer_.policy().trust_domain},
                    {"issuer", issuer_.authorities()->active().id()},
                    {"certificates", issuer_.ledger().size()},
                    {"certificates_max", issuer_.ledger().capacity()},
                    {"issued", figures.issued},
                    {"revoked", figures.revoked},
                    {"refused", figures.refused}});
}

}  // namespace cortexflow::identity
