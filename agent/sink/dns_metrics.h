// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "agent/model/dns_lookup.h"
#include "agent/sink/label_limit.h"

namespace cortexflow::sink {

// How many values each label may have; what comes later is "other".
struct DnsMetricsLimits {
  std::size_t servers = 64;
  std::size_t workloads = 256;
  std::size_t qtypes = 64;  // types without an IANA name are "other" at once
  std::size_t names = 0;    // 0: no label `name`
  // Of each metric with several labels.  At the limit a new series is counted with server, workload and name "other".
  std::size_t series = 10000;
};

// Lookups as metrics.  record() is for one thread; the registry may be read meanwhile by others.  Names in a lookup are
// printable ASCII, as the flow stage makes them: a label that isn't UTF-8 would fail the whole scrape.
class DnsMetrics {
 public:
  DnsMetrics(prometheus::Registry& registry, DnsMetricsLimits limits);
  DnsMetrics(const DnsMetrics&) = delete;
  DnsMetrics& operator=(const DnsMetrics&) = delete;

  void record(const model::DnsLookup& lookup);

 private:
  // Indexes into the limits' tables; what a metric has no label for is 0.
  struct Series {
    std::uint16_t qtype = 0;
    std::uint16_t server = 0;
    std::uint16_t workload = 0;
    std::uint16_t name = 0;
    std::uint16_t rcode = 0;
    std::uint8_t transport = 0;

    bool operator==(const Series&) const = default;
  };
  struct SeriesHash {
    std::size_t operator()(const Series& series) const;
  };
  // Which labels a metric has, beside server, transport and workload.
  struct Shape {
    bool qtype = false;
    bool rcode = false;
    bool name = false;
  };
  // A family and its series by index: prometheus-cpp's own search builds a map of strings under a lock.
  template <typename Metric>
  struct Table {
    prometheus::Family<Metric>& family;
    Shape shape;
    std::unordered_map<Series, Metric*, SeriesHash> metrics;
    Series latest_series{};
    Metric* latest = nullptr;  // of latest_series
  };

  Series series_of(const model::DnsLookup& lookup);
  std::uint16_t rcode_index(std::uint16_t rcode);
  prometheus::Labels labels_of(const Shape& shape, const Series& series) const;
  template <typename Metric, typename... Args>
  Metric& metric(Table<Metric>& table, Series series, const Args&... args);

  static constexpr std::size_t kOutcomes = 7;

  DnsMetricsLimits limits_;
  LabelLimits labels_;
  LabelLimit servers_;
  LabelLimit workloads_;
  LabelLimit qtypes_;
  LabelLimit rcodes_;
  LabelLimit names_;
  prometheus::Counter& series_overflow_;
  Table<prometheus::Counter> requests_;
  Table<prometheus::Counter> responses_;
  Table<prometheus::Counter> timeouts_;
  Table<prometheus::Histogram> durations_;
  std::array<prometheus::Counter*, kOutcomes> outcomes_{};  // by model::DnsOutcome
};

}  // namespace cortexflow::sink
