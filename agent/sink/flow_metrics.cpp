// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/flow_metrics.h"

#include <array>
#include <string_view>

namespace cortexflow::sink {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;

// In seconds: from a connection on this node to a SYN that was sent four times.
const prometheus::Histogram::BucketBoundaries kLatencyBuckets = {
    20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5, 10};

constexpr std::array<std::string_view, 2> kDirections{"out", "in"};  // by model::FlowDirection
constexpr std::array<std::string_view, 8> kOutcomes{"closed",  "reset",     "aborted",     "broken",
                                                    "refused", "timed_out", "unreachable", "abandoned"};
constexpr std::array<std::string_view, 2> kWays{"sent", "received"};

std::string label_of(const model::Workload& workload) { return workload.name.empty() ? "unknown" : workload.name; }

template <std::size_t Size>
std::string text_of(const std::array<std::string_view, Size>& names, std::size_t place) {
  return std::string(names.at(place));
}

}  // namespace

FlowMetrics::FlowMetrics(prometheus::Registry& registry, FlowMetricsLimits limits)
    : limits_(limits),
      labels_(registry),
      workloads_(labels_.limit("flow_workload", limits.workloads)),
      peers_(labels_.limit("flow_peer", limits.peers)),
      series_overflow_(labels_.overflow("flow_series")),
      connections_{BuildCounter()
                       .Name("cortexflow_flow_connections_total")
                       .Help("TCP connections of this node's sockets that have ended, by how and by who opened them.")
                       .Register(registry),
                   {}},
      bytes_{BuildCounter()
                 .Name("cortexflow_flow_bytes_total")
                 .Help("Payload of TCP connections that have ended, each octet once.")
                 .Register(registry),
             {}},
      retransmits_{BuildCounter()
                       .Name("cortexflow_flow_retransmits_total")
                       .Help("Segments sent again on TCP connections that have ended.")
                       .Register(registry),
                   {}},
      denied_{BuildCounter()
                  .Name("cortexflow_flow_denied_total")
                  .Help("Packets and connect() calls that policy refused at this end or, in audit mode, would have.")
                  .Register(registry),
              {}},
      connect_durations_{BuildHistogram()
                             .Name("cortexflow_flow_connect_duration_seconds")
                             .Help("Time from the SYN to the connection, of those that this node's sockets opened.")
                             .Register(registry),
                         {}},
      round_trips_{BuildHistogram()
                       .Name("cortexflow_flow_round_trip_seconds")
                       .Help("The kernel's smoothed round trip at the end of TCP connections, where it had one.")
                       .Register(registry),
                   {}} {}

void FlowMetrics::record(const model::Flow& flow) {
  Series pair;
  pair.workload = workloads_.index(flow.workload.name, [&] { return label_of(flow.workload); });
  pair.peer = peers_.index(flow.peer.name, [&] { return label_of(flow.peer); });
  Series series = pair;
  if (model::is_refusal(flow)) {
    series.one = static_cast<std::uint8_t>(flow.direction);
    series.other = static_cast<std::uint8_t>(flow.outcome);
    const bool refused = flow.outcome == model::FlowOutcome::kDenied;
    metric(denied_, series,
           {{"direction", text_of(kDirections, series.one)}, {"outcome", refused ? "denied" : "would_deny"}})
        .Increment(static_cast<double>(flow.attempts));
    return;
  }
  series.one = static_cast<std::uint8_t>(flow.direction);
  series.other = static_cast<std::uint8_t>(flow.outcome);
  metric(connections_, series,
         {{"direction", text_of(kDirections, series.one)}, {"outcome", text_of(kOutcomes, series.other)}})
      .Increment();
  for (std::size_t way = 0; way < kWays.size(); ++way) {
    const auto bytes = way == 0 ? flow.bytes_sent : flow.bytes_received;
    series = pair;
    series.one = static_cast<std::uint8_t>(way);
    if (bytes != 0) metric(bytes_, series, {{"way", text_of(kWays, way)}}).Increment(static_cast<double>(bytes));
  }
  if (flow.retransmits != 0) metric(retransmits_, pair, {}).Increment(flow.retransmits);
  if (flow.connect_latency) {
    metric(connect_durations_, pair, {}, kLatencyBuckets)
        .Observe(std::chrono::duration<double>(*flow.connect_latency).count());
  }
  if (flow.round_trip.count() != 0) {
    metric(round_trips_, pair, {}, kLatencyBuckets).Observe(std::chrono::duration<double>(flow.round_trip).count());
  }
}

template <typename Metric, typename... Args>
Metric& FlowMetrics::metric(Table<Metric>& table, Series series, const prometheus::Labels& more, const Args&... args) {
  if (const auto found = table.metrics.find(series.key()); found != table.metrics.end()) return *found->second;
  if (table.metrics.size() >= limits_.series) {
    series_overflow_.Increment();
    series.workload = series.peer = LabelLimit::kOther;
    if (const auto found = table.metrics.find(series.key()); found != table.metrics.end()) return *found->second;
  }
  prometheus::Labels labels{{"workload", workloads_.text(series.workload)}, {"peer", peers_.text(series.peer)}};
  labels.insert(more.begin(), more.end());
  Metric& added = table.family.Add(labels, args...);
  table.metrics.emplace(series.key(), &added);
  return added;
}

}  // namespace cortexflow::sink
