// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/metrics.h"

#include <limits>

#include "agent/sink/families.h"

namespace cortexflow::identity {

namespace {

double days_until(Time end, Time now) { return std::chrono::duration<double, std::ratio<86400>>(end - now).count(); }

void add_workload_api(sink::Families& families, const WorkloadFigures& figures) {
  families.gauge("cortexflow_workload_api_connections", "Connections to the Workload API.").add(figures.connections);
  families.gauge("cortexflow_workload_api_streams", "Standing calls of the Workload API, by method.")
      .add(figures.svid_calls, {{"method", "FetchX509SVID"}})
      .add(figures.bundle_calls, {{"method", "FetchX509Bundles"}});
  families.counter("cortexflow_workload_api_messages_total", "Answers that were sent down these calls.")
      .add(figures.pushed);
  families
      .counter("cortexflow_workload_api_refusals_total",
               "Calls that were ended, by gRPC status; connections that were hung up on, as \"connections\".")
      .add_each(figures.refused, "reason");
  families.gauge("cortexflow_workload_api_lists_fit", "0 where the revocation lists are too long to be in the answers.")
      .add(std::uint64_t{figures.lists_fit ? 1U : 0U});
  families.counter("cortexflow_certificate_renewals_total", "Certificates that were renewed down a standing call.")
      .add(figures.renewed);
  families.counter("cortexflow_certificate_renewal_failures_total", "Times that a standing call's could not be made.")
      .add(figures.failed);
}

// Of the authorities whose list was asked for.
void add_lists(sink::Families& families, const Issuer& issuer, const AuthoritySet& set, const ListServer* server) {
  const auto each = [&](const std::function<void(const std::string& role, const ListFigures& list)>& add) {
    for (const auto& one : set.held) {
      if (const auto list = issuer.list_figures(one.authority->id())) add(one.role, *list);
    }
  };
  families.gauge("cortexflow_certificate_list_number", "Number of an authority's latest revocation list, by role.");
  each([&](const auto& role, const auto& list) { families.add(list.number, {{"role", role}}); });
  families.gauge("cortexflow_certificate_list_age_seconds", "How long ago it was made.");
  each([&](const auto& role, const auto& list) {
    families.add(std::chrono::duration<double>(issuer.now() - list.made).count(), {{"role", role}});
  });
  families.gauge("cortexflow_certificate_list_bytes", "How long it is.");
  each([&](const auto& role, const auto& list) { families.add(std::uint64_t{list.octets}, {{"role", role}}); });
  if (server == nullptr) return;
  const auto figures = server->figures();
  families.counter("cortexflow_certificate_list_requests_total", "Requests to the distribution point, by result.")
      .add(figures.served, {{"result", "served"}})
      .add(figures.unknown, {{"result", "not_found"}})
      .add(figures.refused, {{"result", "busy"}});
}

void add_https(sink::Families& families, const Metrics::Https& https) {
  if (https.server == nullptr) return;
  const auto server = https.server->figures();
  families.gauge("cortexflow_identity_https_connections", "Connections to the API over HTTPS.").add(server.connections);
  families.gauge("cortexflow_identity_https_connections_max", "How many there may be.")
      .add(std::uint64_t{TlsServer::kConnectionsMax});
  families.counter("cortexflow_identity_https_requests_total", "Requests over HTTPS that were answered.")
      .add(server.requests);
  families
      .counter("cortexflow_identity_https_refusals_total",
               "Connections and requests over HTTPS that were refused before a token was reviewed, by why.")
      .add_each(server.refused, "reason");
  const auto reviews = https.reviewer->figures();
  families.counter("cortexflow_token_reviews_total", "Tokens that callers showed, by what came of it.");
  for (std::size_t i = 0; i < reviews.results.size(); ++i) {
    families.add(reviews.results.at(i), {{"result", source::kTokenResultNames.at(i)}});
  }
  families.gauge("cortexflow_token_reviews_in_flight", "Tokens that the API server is being asked about.")
      .add(reviews.in_flight);
  families.gauge("cortexflow_token_reviews_in_flight_max", "How many may be; more are refused.")
      .add(std::uint64_t{source::TokenReviewer::kInFlightMax});
  const auto certificate = https.certificate->figures();
  families.counter("cortexflow_identity_https_certificates_total", "Certificates made to serve HTTPS with, by result.")
      .add(certificate.made, {{"result", "made"}})
      .add(certificate.failed, {{"result", "failed"}});
}

void add_ca_bundle(sink::Families& families, const CaBundleKeeper& keeper) {
  const auto configurations = keeper.configurations();
  families.gauge("cortexflow_admission_ca_bundle_current",
                 "1 where the webhook configuration was seen to have the mesh's roots, by kind.");
  for (const auto& one : configurations) families.add(std::uint64_t{one.current ? 1U : 0U}, {{"kind", one.kind}});
  families.counter("cortexflow_admission_ca_bundle_writes_total", "Times that roots were put into it.");
  for (const auto& one : configurations) families.add(one.written, {{"kind", one.kind}});
  families.counter("cortexflow_admission_ca_bundle_failures_total", "Times that it could not be read or written.");
  for (const auto& one : configurations) families.add(one.failed, {{"kind", one.kind}});
}

void add_conditions(sink::Families& families, const ConditionWriter& conditions) {
  const auto status = conditions.status();
  families.counter("cortexflow_condition_writes_total", "Conditions that were written into objects' status, by kind.");
  for (const auto& one : status.kinds) families.add(one.writes.written, {{"kind", one.kind}});
  families.counter("cortexflow_condition_failures_total",
                   "Times that one could not be written, or its kind not be listed or watched.");
  for (const auto& one : status.kinds) families.add(one.writes.failed + one.unheard, {{"kind", one.kind}});
  families.gauge("cortexflow_conditions_waiting", "Conditions that wait to be written.")
      .add(std::uint64_t{status.waiting});
  families.gauge("cortexflow_conditions_waiting_max", "How many may wait; more count as failed.")
      .add(std::uint64_t{ConditionQueue::kWaitingMax});
}

}  // namespace

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  const auto figures = issuer_.figures();
  const auto set = issuer_.authorities();
  sink::Families families;
  families.counter("cortexflow_certificates_issued_total", "Certificates issued.").add(figures.issued);
  families.counter("cortexflow_certificates_revoked_total", "Certificates revoked.").add(figures.revoked);
  families.counter("cortexflow_certificate_refusals_total", "Requests that were refused, by why.")
      .add_each(figures.refused, "reason");
  families.gauge("cortexflow_certificates", "Certificates that are kept account of.")
      .add(static_cast<std::uint64_t>(issuer_.ledger().size()));
  families.gauge("cortexflow_certificates_max", "How many there may be.")
      .add(static_cast<std::uint64_t>(issuer_.ledger().capacity()));
  const auto& ledger = issuer_.ledger();
  families.gauge("cortexflow_certificate_ledger_bytes", "How long the records of these are.").add(ledger.octets());
  if (ledger.octets_max() != std::numeric_limits<std::uint64_t>::max()) {
    families.gauge("cortexflow_certificate_ledger_bytes_max", "How long they may be, where they are kept in Secrets.")
        .add(ledger.octets_max());
  }
  families.gauge("cortexflow_certificate_authority_expiry_timestamp_seconds",
                 "When the chain of an authority ends, by its role in a rotation.");
  for (const auto& one : set->held) {
    const auto end = std::chrono::duration<double>(one.authority->ends().time_since_epoch()).count();
    families.add(end, {{"role", one.role}, {"key_id", one.authority->id()}});
  }
  const auto workloads = workload_api_.figures();
  families.gauge("service_mesh_certificate_expiry_days",
                 "Days until the end of an authority's chain, by role, of the first to end of the certificates that "
                 "callers of the "
                 "Workload API hold, and of the server's own.");
  for (const auto& one : set->held) {
    families.add(days_until(one.authority->ends(), issuer_.now()), {{"certificate", one.role}});
  }
  if (workloads.first_end) families.add(days_until(*workloads.first_end, issuer_.now()), {{"certificate", "workload"}});
  if (https_.certificate != nullptr) {
    if (const auto end = https_.certificate->figures().end) {
      families.add(days_until(*end, issuer_.now()), {{"certificate", "server"}});
    }
  }
  add_workload_api(families, workloads);
  add_lists(families, issuer_, *set, lists_);
  add_https(families, https_);
  if (admission_.webhook != nullptr) admission_.webhook->add_metrics(families);
  if (admission_.keeper != nullptr) add_ca_bundle(families, *admission_.keeper);
  if (conditions_ != nullptr) add_conditions(families, *conditions_);
  return families.take();
}

}  // namespace cortexflow::identity
