// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cortexflow::sink {

// What is known of a service's connections, over its ports and backends, also those that have gone.
struct ServiceFigures {
  std::string ns;
  std::string name;
  std::vector<std::pair<std::string_view, std::uint64_t>> results;  // TCP connections, by how they went
  std::vector<std::uint64_t> latency;                               // established ones, by bucket
  std::uint64_t latency_sum_us = 0;
  std::uint64_t active = 0;
  std::uint64_t pending = 0;
  std::uint64_t ejections = 0;
  std::uint64_t spared = 0;   // from ejection, by the limit of the share
  std::uint64_t ejected = 0;  // backends, now
  std::uint64_t refused = 0;  // by the circuit breaker
  bool breaker = false;       // there is one...
  bool breaker_open = false;  // ...and it refuses now
};

// Asks at each scrape.  kServices services have labels of their own, as long as they are there; those that come while
// so many are there are added up as "other", as long as they are there: no counter falls, and nothing counts twice.
class ServiceMetrics : public prometheus::Collectable {
 public:
  static constexpr std::size_t kServices = 1000;
  // `bounds`: the upper ends of the latency buckets but the last, in seconds.
  ServiceMetrics(prometheus::Registry& registry, std::function<std::vector<ServiceFigures>()> figures,
                 std::vector<double> bounds, std::size_t services = kServices);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::vector<ServiceFigures> limited() const;

  std::function<std::vector<ServiceFigures>()> figures_;
  std::vector<double> bounds_;
  std::size_t max_;
  prometheus::Gauge& values_;
  prometheus::Counter& overflow_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> named_;                   // that have labels of their own
  mutable std::map<std::string, ServiceFigures> others_;  // that have none, as they were last
  mutable bool any_other_ = false;
  mutable ServiceFigures gone_others_;  // what such counted that have gone
};

}  // namespace cortexflow::sink
