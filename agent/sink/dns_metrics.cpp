// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/dns_metrics.h"

#include <chrono>
#include <string_view>

#include "agent/protocol/dns/names.h"
#include "agent/protocol/dns/wire_name.h"

namespace cortexflow::sink {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;

// In seconds: from a cache on this node to a resolver that gave up.
const prometheus::Histogram::BucketBoundaries kBuckets = {50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3,
                                                          50e-3, 0.1,    0.2,    0.5,    1,    2,    5,    10};

constexpr std::size_t kRcodes = 32;                                      // more than have a name
constexpr std::array<std::string_view, 2> kTransports = {"udp", "tcp"};  // by model::Transport
constexpr std::array<std::string_view, 7> kOutcomeNames = {"answered",  "timeout",    "duplicate", "late",
                                                           "unmatched", "superseded", "untracked"};

template <typename Value>
std::string_view octets_of(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace

std::size_t DnsMetrics::SeriesHash::operator()(const Series& series) const {
  std::uint64_t mixed = series.qtype;
  for (const std::uint64_t part :
       {std::uint64_t{series.server}, std::uint64_t{series.workload}, std::uint64_t{series.name},
        std::uint64_t{series.rcode}, std::uint64_t{series.transport}}) {
    mixed = (mixed ^ part) * 0x9e3779b97f4a7c15U;  // Fibonacci hashing, Knuth TAOCP 3, 6.4
    mixed ^= mixed >> 29U;
  }
  return static_cast<std::size_t>(mixed);
}

DnsMetrics::DnsMetrics(prometheus::Registry& registry, DnsMetricsLimits limits)
    : limits_(limits),
      labels_(registry),
      servers_(labels_.limit("server", limits.servers)),
      workloads_(labels_.limit("workload", limits.workloads)),
      qtypes_(labels_.limit("qtype", limits.qtypes)),
      rcodes_(labels_.limit("rcode", kRcodes)),
      names_(labels_.limit("name", limits.names)),
      series_overflow_(labels_.overflow("series")),
      requests_{BuildCounter()
                    .Name("cortexflow_dns_requests_total")
                    .Help("DNS queries sent, each retransmission counted, when their lookup ended.")
                    .Register(registry),
                Shape{.qtype = true, .rcode = false, .name = limits.names > 0},
                {}},
      responses_{BuildCounter()
                     .Name("cortexflow_dns_responses_total")
                     .Help("DNS answers received, also those that came late, twice or unasked.")
                     .Register(registry),
                 Shape{.qtype = true, .rcode = true, .name = limits.names > 0},
                 {}},
      timeouts_{BuildCounter()
                    .Name("cortexflow_dns_timeouts_total")
                    .Help("DNS lookups that nobody answered in time.")
                    .Register(registry),
                Shape{.qtype = true, .rcode = false, .name = limits.names > 0},
                {}},
      durations_{BuildHistogram()
                     .Name("cortexflow_dns_response_duration_seconds")
                     .Help("Time from a DNS lookup's first query to its first answer.")
                     .Register(registry),
                 Shape{},
                 {}} {
  auto& outcomes = BuildCounter()
                       .Name("cortexflow_dns_outcomes_total")
                       .Help("DNS lookups by how they ended, and answers that belong to no pending lookup.")
                       .Register(registry);
  for (std::size_t i = 0; i < kOutcomes; ++i)
    outcomes_[i] = &outcomes.Add({{"outcome", std::string(kOutcomeNames[i])}});
}

void DnsMetrics::record(const model::DnsLookup& lookup) {
  outcomes_[static_cast<std::size_t>(lookup.outcome)]->Increment();
  const Series series = series_of(lookup);
  if (lookup.transmissions > 0) metric(requests_, series).Increment(lookup.transmissions);
  if (lookup.has_answer) {
    Series answer = series;
    answer.rcode = rcode_index(lookup.rcode);
    metric(responses_, answer).Increment();
  }
  if (lookup.outcome == model::DnsOutcome::kTimeout) metric(timeouts_, series).Increment();
  if (lookup.outcome == model::DnsOutcome::kAnswered) {
    metric(durations_, series, kBuckets).Observe(std::chrono::duration<double>(lookup.latency).count());
  }
}

DnsMetrics::Series DnsMetrics::series_of(const model::DnsLookup& lookup) {
  Series series;
  series.transport = static_cast<std::uint8_t>(lookup.transport);
  series.qtype = protocol::dns::type_has_name(lookup.qtype)
                     ? qtypes_.index(octets_of(lookup.qtype), [&] { return protocol::dns::type_name(lookup.qtype); })
                     : qtypes_.refuse();
  series.server = servers_.index(octets_of(lookup.server.octets), [&] { return lookup.server.to_string(); });
  series.workload = workloads_.index(lookup.workload.name,
                                     [&] { return lookup.workload.name.empty() ? "unknown" : lookup.workload.name; });
  if (limits_.names > 0) {
    std::string name = protocol::dns::fold_case(lookup.name);
    series.name = names_.index(name, [&] { return name; });
  }
  return series;
}

std::uint16_t DnsMetrics::rcode_index(std::uint16_t rcode) {
  if (!protocol::dns::rcode_has_name(rcode)) return rcodes_.refuse();
  return rcodes_.index(octets_of(rcode), [&] { return protocol::dns::rcode_name(rcode); });
}

prometheus::Labels DnsMetrics::labels_of(const Shape& shape, const Series& series) const {
  prometheus::Labels labels{{"server", servers_.text(series.server)},
                            {"transport", std::string(kTransports[series.transport])},
                            {"workload", workloads_.text(series.workload)}};
  if (shape.qtype) labels.emplace("qtype", qtypes_.text(series.qtype));
  if (shape.rcode) labels.emplace("rcode", rcodes_.text(series.rcode));
  if (shape.name) labels.emplace("name", names_.text(series.name));
  return labels;
}

template <typename Metric, typename... Args>
Metric& DnsMetrics::metric(Table<Metric>& table, Series series, const Args&... args) {
  if (!table.shape.qtype) series.qtype = 0;
  if (!table.shape.rcode) series.rcode = 0;
  if (!table.shape.name) series.name = 0;
  if (table.latest && table.latest_series == series) return *table.latest;
  if (const auto found = table.metrics.find(series); found != table.metrics.end()) {
    table.latest_series = series;
    table.latest = found->second;
    return *found->second;
  }
  if (table.metrics.size() >= limits_.series) {
    series_overflow_.Increment();
    series.server = series.workload = series.name = LabelLimit::kOther;
    if (const auto found = table.metrics.find(series); found != table.metrics.end()) return *found->second;
  }
  Metric& added = table.family.Add(labels_of(table.shape, series), args...);
  table.metrics.emplace(series, &added);
  return added;
}

}  // namespace cortexflow::sink
