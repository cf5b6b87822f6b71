// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/webhook.h"

#include <limits>

namespace cortexflow::identity {
namespace {

WebhookServer::Settings server_settings(const Settings& settings) {
  auto [address, port] = split_listen(settings.webhook.listen);
  return {std::move(address), port, settings.webhook.system_namespaces};
}

prometheus::ClientMetric::Histogram histogram_of(const WebhookServer::Durations& durations) {
  prometheus::ClientMetric::Histogram out;
  out.sample_sum = durations.sum;
  for (std::size_t i = 0; i < durations.counts.size(); ++i) {
    out.sample_count += durations.counts.at(i);
    const bool last = i == WebhookServer::kBounds.size();
    out.bucket.push_back(
        {out.sample_count, last ? std::numeric_limits<double>::infinity() : WebhookServer::kBounds.at(i)});
  }
  return out;
}

}  // namespace

Webhook::Webhook(const Settings& settings, std::shared_ptr<ServingCertificate> certificate)
    : certificate_(std::move(certificate)),
      server_([this] { return certificate_->current(); }, server_settings(settings)) {}

Result<std::unique_ptr<Webhook>> Webhook::start(const Settings& settings,
                                                std::shared_ptr<ServingCertificate> certificate) {
  std::unique_ptr<Webhook> made(new Webhook(settings, std::move(certificate)));
  if (auto started = made->server_.start(); !started) return tl::make_unexpected(std::move(started.error()));
  return made;
}

std::string Webhook::problem() const {
  const auto problem = certificate_->figures().problem;
  return problem.empty() ? std::string() : "the webhook's certificate: " + problem;
}

void Webhook::add_metrics(sink::Families& families) const {
  const auto figures = server_.figures();
  families.counter("cortexflow_admission_requests_total", "AdmissionReviews that were answered, by path and outcome.");
  for (const auto& [which, count] : figures.requests) {
    families.add(count, {{"path", which.first}, {"outcome", which.second}});
  }
  families.histogram("cortexflow_admission_duration_seconds", "How long an answer took, once the review was there.");
  for (const auto& [path, durations] : figures.durations) families.add(histogram_of(durations), {{"path", path}});
  families.gauge("cortexflow_admission_connections", "Connections to the webhook.").add(figures.server.connections);
  families.gauge("cortexflow_admission_connections_max", "How many there may be.")
      .add(std::uint64_t{TlsServer::kConnectionsMax});
  families.counter("cortexflow_admission_refusals_total", "Connections that were ended before a review came, by why.")
      .add_each(figures.server.refused, "reason");
  if (const auto end = certificate_->figures().end) {
    families
        .gauge("cortexflow_admission_certificate_expiry_timestamp_seconds",
               "When the certificate ends that the webhook is served with.")
        .add(std::chrono::duration<double>(end->time_since_epoch()).count());
  }
}

}  // namespace cortexflow::identity
