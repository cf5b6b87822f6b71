// SPDX-License-Identifier: Apache-2.0
// How following an API server goes.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cortexflow::sink {

struct KubernetesFigures {
  struct Kind {
    std::string name;
    std::uint64_t objects = 0, lists = 0, events = 0, failures = 0, gone = 0, octets = 0;
    bool in_trouble = false;
  };
  bool synced = false;
  double state_age_s = 0;
  std::vector<Kind> kinds;
};

// Asks for the figures at each scrape, from the scraping thread.  None: no API server is followed.
class KubernetesMetrics : public prometheus::Collectable {
 public:
  explicit KubernetesMetrics(std::function<std::optional<KubernetesFigures>()> figures)
      : figures_(std::move(figures)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::function<std::optional<KubernetesFigures>()> figures_;
};

}  // namespace cortexflow::sink
