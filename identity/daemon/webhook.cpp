// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/webhook.h"

#include <limits>

#include "identity/certificates.h"

namespace cortexflow::identity {
namespace {

WebhookServer::Settings server_settings(const Settings& settings) {
  auto [address, port] = split_listen(settings.webhook.listen);
  return {std::move(address), port, settings.webhook.system_namespaces};
}

std::string roots_pem(const AuthoritySet& authorities) {
  std::string out;
  for (const auto* root : authorities.roots()) out += pem_of(root);
  return out;
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

Webhook::Webhook(const Settings& settings, Issuer& issuer, SpiffeId id)
    : certificate_(issuer, std::move(id), settings.webhook.dns_names),
      server_([this] { return certificate_.current(); }, server_settings(settings)) {}

Result<std::unique_ptr<Webhook>> Webhook::start(const Settings& settings, Issuer& issuer) {
  auto id = SpiffeId::parse(fmt::format("spiffe://{}/cfidentity", settings.trust_domain));
  if (!id) return tl::make_unexpected(std::move(id.error()));
  std::unique_ptr<Webhook> made(new Webhook(settings, issuer, std::move(*id)));
  if (auto started = made->server_.start(); !started) return tl::make_unexpected(std::move(started.error()));
  if (settings.webhook.configuration.empty()) return made;
  auto access = source::read_api_access(settings.webhook.kubeconfig);
  if (!access) return tl::make_unexpected(std::move(access.error()).wrap("identity.yaml: webhook.kubeconfig"));
  auto keeper = CaBundleKeeper::start(std::move(*access), settings.webhook.configuration,
                                      [&issuer] { return roots_pem(*issuer.authorities()); });
  if (!keeper) return tl::make_unexpected(std::move(keeper.error()));
  made->keeper_ = std::move(*keeper);
  return made;
}

std::string Webhook::problem() const {
  if (const auto figures = certificate_.figures(); !figures.problem.empty()) {
    return "no certificate to serve the webhook with: " + figures.problem;
  }
  if (!keeper_) return {};
  for (const auto& configuration : keeper_->configurations()) {
    if (!configuration.problem.empty()) return "the webhook's roots are not kept current: " + configuration.problem;
  }
  return {};
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
  if (!keeper_) return;
  const auto configurations = keeper_->configurations();
  families.gauge("cortexflow_admission_ca_bundle_current",
                 "1 where the webhook configuration was seen to have the mesh's roots, by kind.");
  for (const auto& one : configurations) families.add(std::uint64_t{one.current ? 1U : 0U}, {{"kind", one.kind}});
  families.counter("cortexflow_admission_ca_bundle_writes_total", "Times that roots were put into it.");
  for (const auto& one : configurations) families.add(one.written, {{"kind", one.kind}});
  families.counter("cortexflow_admission_ca_bundle_failures_total", "Times that it could not be read or written.");
  for (const auto& one : configurations) families.add(one.failed, {{"kind", one.kind}});
}

}  // namespace cortexflow::identity
