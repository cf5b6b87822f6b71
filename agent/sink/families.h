// SPDX-License-Identifier: Apache-2.0
// Metric families made at a scrape, one after the other.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cortexflow::sink {

class Families {
 public:
  // One series of the family begun latest.
  Families& add(double value, std::vector<prometheus::ClientMetric::Label> labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }
  Families& add(std::uint64_t value, std::vector<prometheus::ClientMetric::Label> labels = {}) {
    return add(static_cast<double>(value), std::move(labels));
  }
  Families& add_each(const std::map<std::string, std::uint64_t>& values, const std::string& label) {
    for (const auto& [text, value] : values) add(value, {{label, text}});
    return *this;
  }

  Families& counter(std::string name, std::string help) {
    return begin(prometheus::MetricType::Counter, std::move(name), std::move(help));
  }
  Families& gauge(std::string name, std::string help) {
    return begin(prometheus::MetricType::Gauge, std::move(name), std::move(help));
  }

  Families& histogram(std::string name, std::string help) {
    return begin(prometheus::MetricType::Histogram, std::move(name), std::move(help));
  }
  Families& add(prometheus::ClientMetric::Histogram value, std::vector<prometheus::ClientMetric::Label> labels) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram = std::move(value);
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }

  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  Families& begin(prometheus::MetricType type, std::string name, std::string help) {
    prometheus::MetricFamily family;
    family.name = std::move(name);
    family.help = std::move(help);
    family.type = type;
    families_.push_back(std::move(family));
    return *this;
  }

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace cortexflow::sink
