// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/webhook_server.h"

#include <algorithm>

#include "agent/control/response.h"
#include "identity/daemon/http_rules.h"
#include "identity/webhook/admission_review.h"

namespace cortexflow::identity {

WebhookServer::WebhookServer(TlsServer::Certificate certificate, Settings settings)
    : server_(std::move(certificate), {settings.address, settings.port, "webhook.listen", kReviewOctetsMax, kThreads}) {
  auto& routes = server_.routes();
  routes.set_payload_max_length(kReviewOctetsMax);
  routes.set_pre_routing_handler([](const auto& request, auto& response) {
    const auto refusal = refusal_of_body(request, kReviewOctetsMax);
    if (!refusal) return httplib::Server::HandlerResponse::Unhandled;
    refuse(response, *refusal);
    return httplib::Server::HandlerResponse::Handled;
  });
  add("/mutate", [namespaces = std::move(settings.system_namespaces)](const std::string& body) {
    return mutate(body, namespaces);
  });
  add("/validate", [](const std::string& body) { return validate(body); });
  add_errors(routes);
}

void WebhookServer::add(const std::string& path, std::function<Result<Admission>(const std::string& body)> decide) {
  durations_[path];
  server_.routes().Post(
      path, [this, path, decide = std::move(decide)](const httplib::Request& request, httplib::Response& response) {
        const auto begun = std::chrono::steady_clock::now();
        const auto admission = decide(request.body);
        count(path, admission ? admission->outcome : "malformed", std::chrono::steady_clock::now() - begun);
        if (!admission) return control::refuse(response, 400, admission.error());
        response.set_content(admission->body, control::kJson);
      });
}

void WebhookServer::count(const std::string& path, const std::string& outcome, std::chrono::duration<double> took) {
  const auto place = std::lower_bound(kBounds.begin(), kBounds.end(), took.count()) - kBounds.begin();
  const std::lock_guard lock(mutex_);
  ++requests_[{path, outcome}];
  auto& durations = durations_[path];
  ++durations.counts.at(static_cast<std::size_t>(place));
  durations.sum += took.count();
}

WebhookServer::Figures WebhookServer::figures() const {
  const std::lock_guard lock(mutex_);
  return {server_.figures(), requests_, durations_};
}

}  // namespace cortexflow::identity
