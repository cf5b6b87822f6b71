// SPDX-License-Identifier: Apache-2.0
// A TrafficPolicy's spec.outlierDetection; names and defaults are those of Istio's DestinationRule and of Envoy's
// outlier_detection, whose "local origin failures" are what is seen here: of connections, not of answers.
//
//   consecutiveLocalOriginFailures: 5  # connects that fail in a row, or connections reset in a row; 0: not looked at
//   failurePercentageThreshold: 50     # of an interval's connections; absent or 0: not looked at
//   failurePercentageRequestVolume: 50 # an interval with fewer connections says nothing
//   interval: 10s
//   baseEjectionTime: 30s              # the first time; each time in a row that much longer
//   maxEjectionTime: 300s              # no longer than this; default: 300s, or baseEjectionTime where that is longer
//   maxEjectionPercent: 10             # while fewer of the service's backends are ejected, one more may be; 0: none
#include "agent/source/manifest/outlier_reader.h"

#include <algorithm>

#include "agent/source/manifest/duration.h"

namespace cortexflow::source {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTimeMin{100};
constexpr milliseconds kTimeMax{86'400'000};
constexpr std::int64_t kCountMax = 1'000'000;

}  // namespace

model::OutlierDetection read_outlier_detection(const Field& field) {
  model::OutlierDetection out;
  field.only({"consecutiveLocalOriginFailures", "failurePercentageThreshold", "failurePercentageRequestVolume",
              "interval", "baseEjectionTime", "maxEjectionTime", "maxEjectionPercent"});
  const auto number = [&](const char* name, std::int64_t min, std::int64_t max, std::uint32_t fallback) {
    return static_cast<std::uint32_t>(field[name].number(min, max).value_or(fallback));
  };
  const auto time = [&](const char* name, milliseconds fallback) {
    return read_duration(field[name], fallback, kTimeMin, kTimeMax, "a duration from 100ms to 24h, such as 30s");
  };
  out.consecutive_failures = number("consecutiveLocalOriginFailures", 0, kCountMax, out.consecutive_failures);
  out.failure_percentage_threshold = number("failurePercentageThreshold", 0, 100, out.failure_percentage_threshold);
  out.failure_percentage_volume = number("failurePercentageRequestVolume", 1, kCountMax, out.failure_percentage_volume);
  out.interval = time("interval", out.interval);
  out.base_ejection_time = time("baseEjectionTime", out.base_ejection_time);
  out.max_ejection_time = time("maxEjectionTime", std::max(out.max_ejection_time, out.base_ejection_time));
  out.max_ejection_percent = number("maxEjectionPercent", 0, 100, out.max_ejection_percent);
  if (out.max_ejection_time < out.base_ejection_time) {
    field["maxEjectionTime"].refuse("expected no less than baseEjectionTime");
  }
  if (out.consecutive_failures == 0 && out.failure_percentage_threshold == 0) {
    field.refuse("expected consecutiveLocalOriginFailures or failurePercentageThreshold above 0: nothing is looked at");
  }
  return out;
}

}  // namespace cortexflow::source
