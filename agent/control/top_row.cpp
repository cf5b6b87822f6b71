// SPDX-License-Identifier: Apache-2.0
#include "agent/control/top_row.h"

#include <algorithm>
#include <numeric>

#include "agent/control/lookup_filter.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

// Nearest rank: the smallest that `percent` of them do not exceed.
std::int64_t quantile(const std::pmr::vector<std::int64_t>& sorted, std::size_t percent) {
  return sorted[(sorted.size() * percent + 99) / 100 - 1];
}

ordered_json or_null(std::optional<std::int64_t> value) { return value ? ordered_json(*value) : ordered_json(nullptr); }

}  // namespace

std::int64_t TopFigures::rank(const std::string& column) const {
  if (column == "lookups" || column == "share") return static_cast<std::int64_t>(lookups);
  if (column == "failed") return static_cast<std::int64_t>(failed);
  if (column == "timeouts") return static_cast<std::int64_t>(timeouts);
  if (column == "mean") return mean.value_or(-1);
  if (column == "p50") return p50.value_or(-1);
  if (column == "p99") return p99.value_or(-1);
  if (column == "max") return max.value_or(-1);
  return 0;
}

ordered_json TopFigures::to_json() const {
  return {{"lookups", lookups},
          {"share", share},
          {"failed", failed},
          {"timeouts", timeouts},
          {"mean_latency_ns", or_null(mean)},
          {"p50_latency_ns", or_null(p50)},
          {"p99_latency_ns", or_null(p99)},
          {"max_latency_ns", or_null(max)}};
}

void TopRow::add(const model::DnsLookup& lookup) {
  ++lookups_;
  if (failed(lookup)) ++failed_;
  if (lookup.outcome == model::DnsOutcome::kTimeout) ++timeouts_;
  if (lookup.outcome == model::DnsOutcome::kAnswered) latencies_.push_back(lookup.latency.count());
}

TopFigures TopRow::figures(std::uint64_t of_all) {
  TopFigures out;
  out.lookups = lookups_;
  out.failed = failed_;
  out.timeouts = timeouts_;
  if (of_all != 0) out.share = static_cast<double>(lookups_) / static_cast<double>(of_all);
  if (latencies_.empty()) return out;
  std::sort(latencies_.begin(), latencies_.end());
  const double sum = std::accumulate(latencies_.begin(), latencies_.end(), 0.0,
                                     [](double total, std::int64_t ns) { return total + static_cast<double>(ns); });
  out.mean = static_cast<std::int64_t>(sum / static_cast<double>(latencies_.size()));
  out.p50 = quantile(latencies_, 50);
  out.p99 = quantile(latencies_, 99);
  out.max = latencies_.back();
  return out;
}

}  // namespace cortexflow::control
