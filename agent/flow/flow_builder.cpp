// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/flow_builder.h"

#include <netinet/in.h>

#include "agent/flow/record_values.h"

namespace cortexflow::flow {
namespace {

model::FlowOutcome flow_outcome_of(std::uint8_t outcome) {
  if (outcome == CF_FLOW_OPEN) return model::FlowOutcome::kOpen;
  if (outcome == CF_FLOW_CONNECTING) return model::FlowOutcome::kConnecting;
  static_assert(static_cast<int>(model::FlowOutcome::kAbandoned) == CF_FLOW_ABANDONED - CF_FLOW_CLOSED);
  return static_cast<model::FlowOutcome>(outcome - CF_FLOW_CLOSED);
}

}  // namespace

model::Flow build(const cf_flow& record, std::chrono::nanoseconds clock_offset, WorkloadResolver& workloads) {
  model::Flow flow;
  flow.start = system_time(record.start_ns, clock_offset);
  flow.duration = time_between(record.start_ns, record.end_ns);
  flow.direction = record.direction == CF_FLOW_OUT ? model::FlowDirection::kOut : model::FlowDirection::kIn;
  flow.outcome = flow_outcome_of(record.outcome);
  if (flow.direction == model::FlowDirection::kOut && record.established_ns != 0) {
    flow.connect_latency = time_between(record.start_ns, record.established_ns);
  }
  flow.error = record.error;
  flow.local = address_of(record.local);
  flow.local_port = record.local_port;
  flow.remote = address_of(record.remote);
  flow.remote_port = record.remote_port;
  if (record.service_port != 0) {
    flow.service_address = address_of(record.service);
    flow.service_port = record.service_port;
  }
  flow.bytes_sent = record.bytes_sent;
  flow.bytes_received = record.bytes_received;
  flow.retransmits = record.retransmits;
  flow.round_trip = std::chrono::microseconds(record.round_trip_us);
  flow.pid = record.tgid;
  flow.comm = comm_of(record.comm);
  flow.cgroup_id = record.cgroup_id;
  flow.netns = record.netns;
  flow.workload = workloads.resolve(record.cgroup_id, record.tgid);
  return flow;
}

model::Flow build(const cf_policy_event& event, std::chrono::nanoseconds clock_offset, WorkloadResolver& workloads) {
  model::Flow flow;
  flow.start = system_time(event.time_ns, clock_offset);
  flow.direction = event.direction == CF_POLICY_OUT ? model::FlowDirection::kOut : model::FlowDirection::kIn;
  const auto verdict = static_cast<cf_policy_verdict>(event.judgment.verdict);
  flow.outcome = verdict >= CF_POLICY_V_DENIED ? model::FlowOutcome::kDenied : model::FlowOutcome::kWouldDeny;
  flow.protocol = event.protocol == IPPROTO_UDP ? model::FlowProtocol::kUdp : model::FlowProtocol::kTcp;
  flow.attempts = event.packets;
  flow.local = address_of(event.local);
  flow.local_port = event.local_port;
  flow.remote = address_of(event.remote);
  flow.remote_port = event.remote_port;
  flow.pid = event.tgid;
  flow.comm = comm_of(event.comm);
  flow.cgroup_id = event.cgroup_id;
  flow.workload = workloads.resolve(event.cgroup_id, event.tgid);
  return flow;
}

}  // namespace cortexflow::flow
