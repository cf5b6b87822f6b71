// SPDX-License-Identifier: Apache-2.0
#include "agent/model/time_text.h"

#include <fmt/chrono.h>

#include <array>

namespace cortexflow::model {
namespace {

using std::chrono::nanoseconds;
using std::chrono::system_clock;

// Takes exactly `digits` digits off the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_one_of(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<nanoseconds> take_fraction(std::string_view& text) {
  if (!take_one_of(text, ".")) return nanoseconds(0);
  std::int64_t value = 0;
  std::int64_t unit = 1'000'000'000;
  while (const auto digit = take_number(text, 1)) {
    if (unit == 1) return std::nullopt;
    unit /= 10;
    value += unit * *digit;
  }
  if (unit == 1'000'000'000) return std::nullopt;
  return nanoseconds(value);
}

std::optional<std::chrono::minutes> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  const int sign = text.starts_with('-') ? -1 : 1;
  if (!take_one_of(text, "+-")) return std::nullopt;
  const auto hours = take_number(text, 2);
  if (!hours || !take_one_of(text, ":")) return std::nullopt;
  const auto minutes = take_number(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59 || !text.empty()) return std::nullopt;
  return std::chrono::minutes(sign * (*hours * 60 + *minutes));
}

// Three numbers with `separator` between them.
std::optional<std::array<int, 3>> take_three(std::string_view& text, std::size_t first_digits, char separator) {
  std::array<int, 3> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i != 0 && !take_one_of(text, {&separator, 1})) return std::nullopt;
    const auto number = take_number(text, i == 0 ? first_digits : 2);
    if (!number) return std::nullopt;
    out[i] = *number;
  }
  return out;
}

}  // namespace

std::string time_text(system_clock::time_point time) {
  const auto since_epoch = std::chrono::duration_cast<nanoseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", fmt::gmtime(static_cast<std::time_t>(seconds.count())),
                     (since_epoch - seconds).count());
}

std::optional<system_clock::time_point> parse_time(std::string_view text) {
  const auto date = take_three(text, 4, '-');
  if (!date || !take_one_of(text, "Tt ")) return std::nullopt;
  const auto clock = take_three(text, 2, ':');
  const auto fraction = clock ? take_fraction(text) : std::nullopt;
  const auto offset = fraction ? parse_offset(text) : std::nullopt;
  if (!offset || (*clock)[0] > 23 || (*clock)[1] > 59 || (*clock)[2] > 60) return std::nullopt;  // 60: a leap second
  const std::chrono::year_month_day day{std::chrono::year{(*date)[0]},
                                        std::chrono::month{static_cast<unsigned>((*date)[1])},
                                        std::chrono::day{static_cast<unsigned>((*date)[2])}};
  if (!day.ok() || (*date)[0] < 1970 || (*date)[0] > 2199) return std::nullopt;
  const system_clock::time_point time = std::chrono::sys_days(day) + std::chrono::hours((*clock)[0]) +
                                        std::chrono::minutes((*clock)[1]) + std::chrono::seconds((*clock)[2]) +
                                        *fraction - *offset;
  // The offset or a leap second may lead out of these years.
  constexpr system_clock::time_point kEnd = std::chrono::sys_days(std::chrono::year{2200} / 1 / 1);
  if (time < system_clock::time_point{} || time >= kEnd) return std::nullopt;
  return time;
}

}  // namespace cortexflow::model
