// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "identity/renewal.h"

namespace cortexflow::identity {
using namespace std::chrono_literals;
using std::chrono::system_clock;

TEST_CASE(
    "a certificate is renewed at half its life, give or take a twentieth, and 7 days before the end of a long one") {
  constexpr auto kDay = 24h;
  struct Row {
    std::string sentence;
    system_clock::duration lifetime;
    double jitter;
    system_clock::duration after;
  };
  const std::vector<Row> rows{
      {"a day's, in the middle", kDay, 0.5, 12h},
      {"a day's, at the earliest", kDay, 0.0, 12h - 72min},
      {"a day's, at the latest", kDay, 1.0, 12h + 72min},
      {"an hour's", 1h, 0.5, 30min},
      {"14 days', at the latest: its half is 7 days, the rule is for longer ones", 14 * kDay, 1.0,
       7 * kDay + 16h + 48min},
      {"15 days', at the latest: 7 days before its end", 15 * kDay, 1.0, 8 * kDay},
      {"a year's, in the middle", 365 * kDay, 0.5, 182 * kDay + 12h},
      {"jitter out of bounds is held to them", kDay, 7.0, 12h + 72min},
      {"one that ends before it begins: at once", -1h, 0.5, 0h},
  };
  const system_clock::time_point begin{480'000h};
  for (const auto& row : rows) {
    INFO(row.sentence);
    const auto off = renewal_time(begin, begin + row.lifetime, row.jitter) - (begin + row.after);
    CHECK(std::chrono::abs(off) < 1s);
  }
  for (auto lifetime = 1h; lifetime <= 365 * kDay; lifetime += 7h) {
    for (const double jitter : {0.0, 0.3, 1.0}) {
      const auto at = renewal_time(begin, begin + lifetime, jitter);
      CHECK(at > begin);
      CHECK(at < begin + lifetime);
      if (lifetime > 14 * kDay) CHECK(begin + lifetime - at >= 7 * kDay);
    }
  }
}

}  // namespace cortexflow::identity
