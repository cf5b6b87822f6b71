// SPDX-License-Identifier: Apache-2.0
#include "agent/control/latency_sample.h"

#include <algorithm>
#include <numeric>

namespace cortexflow::control {
namespace {

// Nearest rank: the smallest that `percent` of them do not exceed.
std::int64_t quantile(const std::pmr::vector<std::int64_t>& sorted, std::size_t percent) {
  return sorted[(sorted.size() * percent + 99) / 100 - 1];
}

}  // namespace

std::optional<std::int64_t> LatencyFigures::rank(const std::string& column) const {
  if (column == "mean") return mean.value_or(-1);
  if (column == "p50") return p50.value_or(-1);
  if (column == "p99") return p99.value_or(-1);
  if (column == "max") return max.value_or(-1);
  return std::nullopt;
}

nlohmann::ordered_json LatencyFigures::to_json(const std::string& of) const {
  nlohmann::ordered_json out;
  for (const auto& [name, value] : {std::pair{"mean_", mean}, {"p50_", p50}, {"p99_", p99}, {"max_", max}}) {
    out[name + of + "_ns"] = value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  }
  return out;
}

LatencyFigures LatencySample::figures() {
  if (latencies_.empty()) return {};
  std::sort(latencies_.begin(), latencies_.end());
  const double sum = std::accumulate(latencies_.begin(), latencies_.end(), 0.0,
                                     [](double total, std::int64_t ns) { return total + static_cast<double>(ns); });
  return {static_cast<std::int64_t>(sum / static_cast<double>(latencies_.size())), quantile(latencies_, 50),
          quantile(latencies_, 99), latencies_.back()};
}

}  // namespace cortexflow::control
