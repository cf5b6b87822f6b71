// SPDX-License-Identifier: Apache-2.0
#include "agent/control/json.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "agent/control/time_text.h"
#include "agent/protocol/dns/names.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;
namespace dns = protocol::dns;

constexpr std::array<std::string_view, 7> kOutcomes{"answered",  "timeout",    "duplicate", "late",
                                                    "unmatched", "superseded", "untracked"};
constexpr std::array<std::string_view, 12> kFlowOutcomes{"closed",  "reset",      "aborted",     "broken",
                                                         "refused", "timed_out",  "unreachable", "abandoned",
                                                         "open",    "connecting", "denied",      "would_deny"};
constexpr std::array<std::string_view, 4> kOwnerSources{"unknown", "kprobe", "cgroup", "tracepoint"};

template <std::size_t Size>
std::optional<std::size_t> place_of(const std::array<std::string_view, Size>& names, std::string_view name) {
  const auto found = std::find_if(names.begin(), names.end(), [name](std::string_view one) {
    return std::equal(one.begin(), one.end(), name.begin(), name.end(),
                      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
  });
  return found == names.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - names.begin()));
}

ordered_json workload_json(const model::Workload& workload) {
  return {{"name", workload.name},
          {"cgroup_path", workload.cgroup_path},
          {"container_id", workload.container_id},
          {"pod_uid", workload.pod_uid},
          {"namespace", workload.ns},
          {"pod", workload.pod},
          {"container", workload.container},
          {"owner", workload.owner}};
}

ordered_json verdict_json(const std::optional<model::FlowVerdict>& policy) {
  if (!policy) return nullptr;
  return {{"verdict", policy->verdict}, {"refused", policy->refused}, {"rules", policy->rules}};
}

ordered_json connections_json(const ConnectionRow& row) {
  return {{"results", row.results},
          {"failed", row.failed},
          {"connect_mean_seconds", row.connect_mean_s},
          {"connect_recent_seconds", row.connect_recent_s},
          {"round_trip_seconds", row.round_trip_s}};
}

}  // namespace

std::string_view outcome_name(model::DnsOutcome outcome) { return kOutcomes.at(static_cast<std::size_t>(outcome)); }

std::optional<model::DnsOutcome> parse_outcome(std::string_view name) {
  const auto place = place_of(kOutcomes, name);
  return place ? std::optional(static_cast<model::DnsOutcome>(*place)) : std::nullopt;
}

std::string_view outcome_name(model::FlowOutcome outcome) {
  return kFlowOutcomes.at(static_cast<std::size_t>(outcome));
}

std::optional<model::FlowOutcome> parse_flow_outcome(std::string_view name) {
  const auto place = place_of(kFlowOutcomes, name);
  return place ? std::optional(static_cast<model::FlowOutcome>(*place)) : std::nullopt;
}

std::string_view transport_name(model::FlowProtocol protocol) {
  return protocol == model::FlowProtocol::kUdp ? "udp" : "tcp";
}

ordered_json to_json(const model::DnsLookup& lookup) {
  ordered_json out{{"start", time_text(lookup.start)},
                   {"latency_ns", lookup.latency.count()},
                   {"outcome", outcome_name(lookup.outcome)},
                   {"transmissions", lookup.transmissions},
                   {"name", lookup.name},
                   {"qtype", dns::type_name(lookup.qtype)},
                   {"qclass", dns::class_name(lookup.qclass)},
                   {"id", lookup.id},
                   {"has_answer", lookup.has_answer}};
  out["rcode"] = lookup.has_answer ? ordered_json(dns::rcode_name(lookup.rcode)) : ordered_json(nullptr);
  out.update(ordered_json{{"answers", lookup.answers},
                          {"truncated", lookup.truncated},
                          {"authoritative", lookup.authoritative},
                          {"authenticated", lookup.authenticated},
                          {"recursion_desired", lookup.recursion_desired},
                          {"recursion_available", lookup.recursion_available},
                          {"edns_size", lookup.edns_size},
                          {"query_size", lookup.query_size},
                          {"answer_size", lookup.answer_size},
                          {"transport", lookup.transport == model::Transport::kUdp ? "udp" : "tcp"},
                          {"client", lookup.client.to_string()},
                          {"client_port", lookup.client_port},
                          {"server", lookup.server.to_string()},
                          {"server_port", lookup.server_port},
                          {"pid", lookup.pid},
                          {"comm", lookup.comm},
                          {"owner_source", kOwnerSources.at(static_cast<std::size_t>(lookup.owner_source))},
                          {"cgroup_id", lookup.cgroup_id},
                          {"netns", lookup.netns},
                          {"workload", workload_json(lookup.workload)}});
  return out;
}

ordered_json to_json(const model::Flow& flow) {
  ordered_json out{{"start", time_text(flow.start)},
                   {"duration_ns", flow.duration.count()},
                   {"direction", flow.direction == model::FlowDirection::kOut ? "out" : "in"},
                   {"outcome", outcome_name(flow.outcome)},
                   {"error", flow.error}};
  out["connect_latency_ns"] =
      flow.connect_latency ? ordered_json(flow.connect_latency->count()) : ordered_json(nullptr);
  out.update(ordered_json{{"policy", verdict_json(flow.policy)},
                          {"attempts", flow.attempts},
                          {"transport", transport_name(flow.protocol)},
                          {"local", flow.local.to_string()},
                          {"local_port", flow.local_port},
                          {"remote", flow.remote.to_string()},
                          {"remote_port", flow.remote_port}});
  out["service_address"] =
      flow.service_address ? ordered_json(flow.service_address->to_string()) : ordered_json(nullptr);
  out.update(ordered_json{{"service_port", flow.service_port},
                          {"service", flow.service},
                          {"bytes_sent", flow.bytes_sent},
                          {"bytes_received", flow.bytes_received},
                          {"retransmits", flow.retransmits},
                          {"round_trip_us", flow.round_trip.count()},
                          {"pid", flow.pid},
                          {"comm", flow.comm},
                          {"cgroup_id", flow.cgroup_id},
                          {"netns", flow.netns},
                          {"workload", workload_json(flow.workload)},
                          {"peer", workload_json(flow.peer)}});
  return out;
}

ordered_json to_json(const Status& status) {
  ordered_json functions = ordered_json::array();
  for (const auto& f : status.functions) {
    functions.push_back({{"name", f.name}, {"hook", f.hook}, {"degraded", f.degraded}, {"detail", f.detail}});
  }
  ordered_json maps = ordered_json::array();
  for (const auto& m : status.maps) {
    maps.push_back({{"name", m.name}, {"entries", m.entries}, {"max_entries", m.max_entries}});
  }
  ordered_json flows = nullptr;
  if (status.flows) {
    flows = {{"emitted", status.flows->emitted}, {"delivered", status.flows->delivered}, {"lost", status.flows->lost}};
  }
  ordered_json configuration = nullptr;
  if (const auto& followed = status.configuration) {
    configuration = {{"generation", followed->generation},
                     {"changed", time_text(followed->changed)},
                     {"took_seconds", followed->took.count()},
                     {"heard_seconds", nullptr}};
    if (followed->heard) configuration["heard_seconds"] = followed->heard->count();
  }
  return {{"version", status.version},
          {"node", status.node},
          {"pid", status.pid},
          {"kernel", status.kernel},
          {"started", time_text(status.started)},
          {"config_file", status.config_file},
          {"dns_ports", status.dns_ports},
          {"configuration", std::move(configuration)},
          {"functions", functions},
          {"maps", maps},
          {"queries", status.queries},
          {"answers", status.answers},
          {"emitted", status.emitted},
          {"delivered", status.delivered},
          {"lost", status.lost},
          {"flows", std::move(flows)},
          {"parse_errors", status.parse_errors}};
}

ordered_json to_json(const BpfProgram& program) {
  return {{"id", program.id},
          {"name", program.name},
          {"type", program.type},
          {"attached_to", program.attached_to},
          {"pin", program.pin},
          {"run_count", program.run_count},
          {"run_time_ns", program.run_time_ns},
          {"verified_instructions", program.verified_instructions}};
}

ordered_json to_json(const DropRow& row) {
  return {{"where", row.where}, {"reason", row.reason}, {"count", row.count}};
}

ordered_json to_json(const VethRow& row) {
  return {{"name", row.name},
          {"index", row.index},
          {"up", row.up},
          {"peer", row.peer},
          {"master", row.master},
          {"pods", row.pods},
          {"programs", row.programs},
          {"received_packets", row.received_packets},
          {"sent_packets", row.sent_packets},
          {"received_bytes", row.received_bytes},
          {"sent_bytes", row.sent_bytes},
          {"received_dropped", row.received_dropped},
          {"sent_dropped", row.sent_dropped}};
}

ordered_json to_json(const ServiceRow& row) {
  ordered_json backends = ordered_json::array();
  for (const auto& backend : row.backends) {
    backends.push_back({{"address", backend.address},
                        {"number", backend.number},
                        {"pod", backend.pod},
                        {"subset", backend.subset},
                        {"weight", backend.weight},
                        {"weight_set", backend.weight_set},
                        {"share", backend.share},
                        {"active", backend.active},
                        {"chosen", backend.chosen},
                        {"connections", connections_json(backend.connections)},
                        {"state", backend.state},
                        {"reason", backend.reason},
                        {"since", backend.since ? ordered_json(time_text(*backend.since)) : ordered_json(nullptr)}});
  }
  ordered_json subsets = ordered_json::array();
  for (const auto& subset : row.subsets) {
    subsets.push_back({{"name", subset.name},
                       {"weight", subset.weight},
                       {"manifest_weight", subset.manifest_weight},
                       {"weight_set", subset.weight_set},
                       {"share", subset.share}});
  }
  return {{"name", row.ns.empty() ? row.name : row.ns + "/" + row.name},
          {"port", row.port_name},
          {"protocol", row.protocol},
          {"addresses", row.addresses},
          {"number", row.number},
          {"algorithm", row.algorithm},
          {"affinity_seconds", row.affinity_s},
          {"max_connections", row.max_connections},
          {"max_pending_connections", row.max_pending},
          {"active", row.active},
          {"pending", row.pending},
          {"refused", row.refused},
          {"subsets", subsets},
          {"backends", backends},
          {"versions", row.versions},
          {"problems", row.problems},
          {"held_since", row.held_since ? ordered_json(time_text(*row.held_since)) : ordered_json(nullptr)}};
}

ordered_json to_json(const WorkloadRow& row) {
  return {{"workload", workload_json(row.workload)},
          {"cgroup_id", row.cgroup_id},
          {"lookups", row.lookups},
          {"failed", row.failed},
          {"last_seen", time_text(row.last_seen)}};
}

}  // namespace cortexflow::control
