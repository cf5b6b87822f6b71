// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "agent/model/flow.h"
#include "agent/sink/label_limit.h"

namespace cortexflow::sink {

// How many values each label may have; what comes later is "other".
struct FlowMetricsLimits {
  std::size_t workloads = 256;
  std::size_t peers = 256;
  // Of each metric.  At the limit a new pair is counted as "other" to "other".
  std::size_t series = 10000;
};

// Flows as metrics.  record() is for one thread; the registry may be read meanwhile by others.
class FlowMetrics {
 public:
  explicit FlowMetrics(prometheus::Registry& registry, FlowMetricsLimits limits = {});
  FlowMetrics(const FlowMetrics&) = delete;
  FlowMetrics& operator=(const FlowMetrics&) = delete;

  void record(const model::Flow& flow);

 private:
  // Indexes into the limits' tables, and places in the tables of names.
  struct Series {
    std::uint16_t workload = 0;
    std::uint16_t peer = 0;
    std::uint8_t one = 0;
    std::uint8_t other = 0;

    [[nodiscard]] std::uint64_t key() const {
      return std::uint64_t{workload} << 32 | std::uint64_t{peer} << 16 | std::uint64_t{one} << 8 | other;
    }
  };
  template <typename Metric>
  struct Table {
    prometheus::Family<Metric>& family;
    std::unordered_map<std::uint64_t, Metric*> metrics;
  };

  template <typename Metric, typename... Args>
  Metric& metric(Table<Metric>& table, Series series, const prometheus::Labels& more, const Args&... args);

  FlowMetricsLimits limits_;
  LabelLimits labels_;
  LabelLimit workloads_, peers_;
  prometheus::Counter& series_overflow_;
  Table<prometheus::Counter> connections_, bytes_, retransmits_, denied_;
  Table<prometheus::Histogram> connect_durations_, round_trips_;
};

}  // namespace cortexflow::sink
