// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/control/time_text.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace std::chrono_literals;

TEST_CASE("Durations have a unit") {
  CHECK(parse_duration("500us") == 500us);
  CHECK(parse_duration("10ms") == 10ms);
  CHECK(parse_duration("2s") == 2s);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("1h") == 1h);
  for (const char* bad : {"", "5", "ms", "-5s", "5 s", "5S", "99999999999999h", "5s "}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("Times are RFC 3339") {
  const std::pair<const char*, const char*> kCases[] = {
      {"2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000000000Z"},
      {"2023-11-14t22:13:20.5z", "2023-11-14T22:13:20.500000000Z"},
      {"2023-11-14 23:13:20.123456789+01:00", "2023-11-14T22:13:20.123456789Z"},
      {"2024-02-29T00:00:00-00:30", "2024-02-29T00:30:00.000000000Z"},
      {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000000Z"},
  };
  for (const auto& [text, same] : kCases) {
    INFO(text);
    const auto time = parse_time(text);
    REQUIRE(time);
    CHECK(time_text(*time) == same);
  }
  for (const char* bad : {"", "2023", "2023-11-14", "2023-11-14T22:13", "2023-11-14T22:13:20", "2023-02-29T00:00:00Z",
                          "2023-13-01T00:00:00Z", "2023-11-14T24:00:00Z", "2023-11-14T22:13:20.Z",
                          "2023-11-14T22:13:20.1234567890Z", "2023-11-14T22:13:20+0100", "2023-11-14T22:13:20Z ",
                          "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "2199-12-31T23:59:60Z", "22:13:20Z"}) {
    INFO(bad);
    CHECK_FALSE(parse_time(bad));
  }
}

TEST_CASE("Since is a duration back from now, or a time") {
  const auto now = *parse_time("2023-11-14T22:13:20Z");
  CHECK(time_text(*parse_since("5m", now)) == "2023-11-14T22:08:20.000000000Z");
  CHECK(time_text(*parse_since("2023-11-14T22:00:00Z", now)) == "2023-11-14T22:00:00.000000000Z");
  CHECK(time_text(*parse_since("2000000h", now)) == "1970-01-01T00:00:00.000000000Z");
  CHECK_FALSE(parse_since("yesterday", now));
  CHECK_FALSE(parse_since("", now));
}
