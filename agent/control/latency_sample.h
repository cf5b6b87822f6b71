// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace cortexflow::control {

// In nanoseconds; empty without one.
struct LatencyFigures {
  std::optional<std::int64_t> mean, p50, p99, max;  // quantiles by nearest rank

  // By the name of a column, "p99"; -1 where there is none, nothing where it is no latency's.
  [[nodiscard]] std::optional<std::int64_t> rank(const std::string& column) const;
  // "mean_latency_ns" and so on, of "latency"; null without one.
  [[nodiscard]] nlohmann::ordered_json to_json(const std::string& of) const;
};

class LatencySample {
 public:
  explicit LatencySample(std::pmr::memory_resource& memory) : latencies_(&memory) {}

  void add(std::int64_t ns) { latencies_.push_back(ns); }
  // Sorts them: once, when all are added.
  [[nodiscard]] LatencyFigures figures();

 private:
  std::pmr::vector<std::int64_t> latencies_;
};

}  // namespace cortexflow::control
