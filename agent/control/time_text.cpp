// SPDX-License-Identifier: Apache-2.0
#include "agent/control/time_text.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace cortexflow::control {

using std::chrono::nanoseconds;
using std::chrono::system_clock;

std::optional<nanoseconds> parse_duration(const std::string& text) {
  static const std::map<std::string, std::int64_t> kUnits{{"ns", 1},
                                                          {"us", 1'000},
                                                          {"ms", 1'000'000},
                                                          {"s", 1'000'000'000},
                                                          {"m", 60'000'000'000},
                                                          {"h", 3'600'000'000'000},
                                                          {"d", 86'400'000'000'000}};
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  if (error != std::errc{} || number < 0 || unit == kUnits.end() || number > INT64_MAX / unit->second)
    return std::nullopt;
  return nanoseconds(number * unit->second);
}

Result<system_clock::time_point> parse_since(const std::string& text, system_clock::time_point now) {
  if (const auto ago = parse_duration(text)) return std::max(now - *ago, system_clock::time_point{});
  if (const auto time = parse_time(text)) return *time;
  return fail("since={}: expected a duration such as 30s, 5m or 1h, or a time such as 2024-05-01T12:00:00Z", text);
}

}  // namespace cortexflow::control
