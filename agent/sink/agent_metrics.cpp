// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/agent_metrics.h"

#include <utility>

#include "agent/sink/families.h"
#include "agent/sink/process_figures.h"

namespace cortexflow::sink {
namespace {

using prometheus::MetricFamily;

void add_events(Families& to, const AgentFigures& figures) {
  to.counter("cortexflow_events_emitted_total",
             "Records that the kernel programs and the agent's sweep wrote for the agent.")
      .add(figures.emitted);
  to.counter("cortexflow_events_delivered_total", "Records that came through to the metrics and the log of lookups.")
      .add(figures.delivered);
  to.counter("cortexflow_events_lost_total", "Records that were lost on the way, by cause.")
      .add_each(figures.lost, "cause");
}

void add_flows(Families& to, const AgentFigures& figures) {
  if (!figures.flows) return;
  const auto& flows = *figures.flows;
  to.counter("cortexflow_flow_records_emitted_total", "Records of ended TCP connections that the kernel program wrote.")
      .add(flows.emitted);
  to.counter("cortexflow_flow_records_delivered_total", "Those that came through to the metrics and the log of flows.")
      .add(flows.delivered);
  to.counter("cortexflow_flow_records_lost_total", "Those that were lost on the way, by cause.")
      .add_each(flows.lost, "cause");
  to.counter("cortexflow_flow_untracked_total",
             "TCP connections without a record: there was no memory for their state.")
      .add(flows.untracked);
}

void add_dns(Families& to, const AgentFigures& figures) {
  to.counter("cortexflow_dns_packets_total", "Packets to or from a watched DNS port.").add(figures.packets);
  to.counter("cortexflow_dns_messages_total", "DNS messages read, by kind.")
      .add(figures.queries, {{"kind", "query"}})
      .add(figures.answers, {{"kind", "answer"}});
  to.counter("cortexflow_dns_retransmits_total", "DNS queries that were the same query sent again.")
      .add(figures.retransmits);
  to.counter("cortexflow_dns_parse_errors_total", "DNS messages and packets that were not understood, by cause.")
      .add_each(figures.parse_errors, "cause");
  to.counter("cortexflow_dns_pending_full_total",
             "DNS queries that were not followed as too many waited for an answer.")
      .add(figures.pending_full);
}

void add_services(Families& to, const AgentFigures& figures) {
  if (figures.services.empty()) return;
  to.counter("cortexflow_service_events_total",
             "Connects and sends to services, and their answers: translated, refused, or what went wrong.")
      .add_each(figures.services, "event");
  to.gauge("cortexflow_configuration_unused",
           "Documents, parts of them, policies and addresses of the configuration that are not used, as cfcli service "
           "list says.")
      .add(figures.unused);
  to.gauge("cortexflow_service_overrides", "Services with weights or drains that an operator has set.")
      .add(figures.overrides);
  to.gauge("cortexflow_service_overrides_max", "How many there may be.").add(figures.max_overrides);
  if (!figures.stale_sockets.empty()) {
    to.counter(
          "cortexflow_service_stale_sockets_total",
          "Attempts to end a UDP socket whose backend has left: destroyed, moved by its application meanwhile, its "
          "network namespace unreachable, or failed.")
        .add_each(figures.stale_sockets, "result");
  }
  if (figures.redirect.empty()) return;
  to.counter("cortexflow_redirect_packets_total",
             "Packets of workloads that are served by their packets, each under what became of it.")
      .add_each(figures.redirect, "verdict");
}

void add_edge(Families& to, const AgentFigures& figures) {
  if (figures.edge_verdicts.empty()) return;
  to.counter("cortexflow_edge_packets_total", "Packets that came to the edge's interfaces, each by its one verdict.")
      .add_each(figures.edge_verdicts, "verdict");
  to.counter("cortexflow_edge_events_total", "What the edge did beside the verdicts: flows opened, pinned, audited...")
      .add_each(figures.edge_events, "event");
}

void add_policy(Families& to, const AgentFigures& figures) {
  if (figures.policy_verdicts_in.empty()) return;
  to.counter("cortexflow_policy_verdicts_total",
             "Connections and datagrams that were judged at this machine's sockets, each by its one verdict: in at the "
             "called one's, out at the caller's.");
  for (const auto& [verdict, count] : figures.policy_verdicts_in) {
    to.add(count, {{"direction", "in"}, {"verdict", verdict}});
  }
  for (const auto& [verdict, count] : figures.policy_verdicts_out) {
    to.add(count, {{"direction", "out"}, {"verdict", verdict}});
  }
  to.counter("cortexflow_policy_events_total",
             "What authorization did beside the verdicts: packets dropped, connections judged again, audited...")
      .add_each(figures.policy_events, "event");
  const auto& records = figures.policy_records;
  to.counter("cortexflow_policy_records_emitted_total", "Records of refusals that the policy programs wrote.")
      .add(records.emitted);
  to.counter("cortexflow_policy_records_delivered_total",
             "Those that came through to the metrics and the log of flows.")
      .add(records.delivered);
  to.counter("cortexflow_policy_records_lost_total", "Those that were lost on the way, by cause.")
      .add_each(records.lost, "cause");
  to.counter("cortexflow_policy_rule_hits_total",
             "How often a rule of an AuthorizationPolicy or NetworkPolicy decided or, AUDIT, matched; the busiest 100.")
      .add_each(figures.policy_hits, "rule");
  to.gauge("cortexflow_policy_boot_closed",
           "1: no workload is reached since boot (cfagent --close), as not all policies could be read yet.")
      .add(std::uint64_t{figures.policy_boot_closed});
}

void add_health(Families& to, const AgentFigures& figures) {
  if (!figures.health) return;
  const auto& health = *figures.health;
  to.gauge("cortexflow_backends", "Backends of all service ports, by state; available: chosen without reservation.")
      .add_each(health.backends, "state");
  to.gauge("cortexflow_service_panics",
           "Service ports that use all ready backends as too few are healthy (panicThreshold).")
      .add(health.panics);
  to.counter("cortexflow_health_checks_total", "Health checks that have ended, by result.")
      .add_each(health.checks, "result");
  to.counter("cortexflow_health_checks_late_total",
             "Health checks that began over a second after they were due, as too many were in flight.")
      .add(health.late);
  to.gauge("cortexflow_health_checks_in_flight", "Health checks that wait for a connection or an answer.")
      .add(health.in_flight);
  to.gauge("cortexflow_health_checks_in_flight_max", "How many may; the others wait for their turn.")
      .add(health.in_flight_max);
  to.gauge("cortexflow_health_targets", "Addresses that are checked.").add(health.targets);
  to.gauge("cortexflow_health_targets_max", "How many there may be; others count as healthy.").add(health.targets_max);
  to.gauge("cortexflow_health_targets_refused", "Backends that are not checked as there are too many.")
      .add(health.refused);
}

void add_health_ports(Families& to, const AgentFigures& figures) {
  if (!figures.health_ports) return;
  const auto& ports = *figures.health_ports;
  to.gauge("cortexflow_health_check_ports",
           "Services' health check node ports: serving; failed: the port can't be had; refused: another service's, or "
           "too many.")
      .add_each(ports.states, "state");
  to.gauge("cortexflow_health_check_ports_max", "How many may be served.").add(ports.max);
  to.counter("cortexflow_health_check_requests_total",
             "Requests of load balancers that were answered, at a service's port or the node's own, by status.");
  for (const auto& [key, count] : ports.requests) to.add(count, {{"port", key.first}, {"code", key.second}});
}

void add_bpf(Families& to, const AgentFigures& figures) {
  to.counter("cortexflow_bpf_helper_failures_total", "Calls of a kernel helper that failed where they should not.")
      .add(figures.helper_failed);
  to.gauge("cortexflow_bpf_map_entries", "Entries in use of a BPF map.");
  for (const auto& map : figures.maps) to.add(map.entries, {{"map", map.name}});
  to.gauge("cortexflow_bpf_map_max_entries", "Entries that a BPF map has room for.");
  for (const auto& map : figures.maps) to.add(map.max_entries, {{"map", map.name}});
  to.counter("cortexflow_bpf_program_runs_total",
             "Runs of a BPF program; counted with sysctl kernel.bpf_stats_enabled.");
  for (const auto& program : figures.programs) to.add(program.run_count, {{"program", program.name}});
  to.counter("cortexflow_bpf_program_run_seconds_total",
             "Time spent in a BPF program; counted with sysctl kernel.bpf_stats_enabled.");
  for (const auto& program : figures.programs) {
    to.add(static_cast<double>(program.run_time_ns) * 1e-9, {{"program", program.name}});
  }
}

void add_process(Families& to) {
  const ProcessFigures process = read_process_figures();
  to.gauge("process_resident_memory_bytes", "Resident memory of the agent.").add(process.resident_bytes);
  to.counter("process_cpu_seconds_total", "User and system CPU time of the agent.").add(process.cpu_seconds);
  to.gauge("process_start_time_seconds", "Start of the agent, in seconds since the epoch.")
      .add(process.start_time_seconds);
  to.gauge("process_open_fds", "Open file descriptors of the agent.").add(process.open_fds);
}

}  // namespace

AgentMetrics::AgentMetrics(std::function<AgentFigures()> figures, std::string version, std::string revision)
    : figures_(std::move(figures)), version_(std::move(version)), revision_(std::move(revision)) {}

std::vector<MetricFamily> AgentMetrics::Collect() const {
  const AgentFigures figures = figures_();
  Families families;
  families.gauge("cortexflow_build_info", "1, with the agent's version and revision.")
      .add(1.0, {{"version", version_}, {"revision", revision_}});
  add_events(families, figures);
  add_flows(families, figures);
  add_dns(families, figures);
  add_services(families, figures);
  add_edge(families, figures);
  add_policy(families, figures);
  add_health(families, figures);
  add_health_ports(families, figures);
  add_bpf(families, figures);
  add_process(families);
  return families.take();
}

}  // namespace cortexflow::sink
