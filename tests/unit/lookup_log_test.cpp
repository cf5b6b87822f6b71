// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/lookup_log.h"

#include <catch2/catch.hpp>
#include <future>

using namespace cortexflow;
using namespace std::chrono_literals;

namespace {

const std::chrono::system_clock::time_point kDay{std::chrono::hours(24 * 20000)};

std::shared_ptr<const model::DnsLookup> lookup(std::uint16_t id) {
  auto made = std::make_shared<model::DnsLookup>();
  made->id = id;
  made->start = kDay + std::chrono::seconds(id);
  made->latency = 1s;
  return made;
}

void push(flow::LookupLog& log, std::uint16_t from, std::uint16_t to) {
  for (std::uint16_t id = from; id < to; ++id) log.push(lookup(id));
}

}  // namespace

TEST_CASE("a reader gets the lookups from its cursor on, in order") {
  flow::LookupLog log(8);
  push(log, 0, 5);
  const auto first = log.read(0, 2, 0ms);
  REQUIRE(first.lookups.size() == 2);
  CHECK(first.lookups[0]->id == 0);
  CHECK(first.lookups[1]->id == 1);
  CHECK(first.next == 2);
  CHECK(first.lost == 0);
  const auto rest = log.read(first.next, 100, 0ms);
  CHECK(rest.lookups.size() == 3);
  CHECK(rest.next == 5);
}

TEST_CASE("a reader that was too slow is told how much it lost") {
  flow::LookupLog log(4);
  push(log, 0, 10);
  const auto batch = log.read(1, 100, 0ms);
  REQUIRE(batch.lookups.size() == 4);
  CHECK(batch.lookups[0]->id == 6);
  CHECK(batch.lost == 5);
  CHECK(batch.next == 10);
}

TEST_CASE("a cursor beyond the end is the end") {
  flow::LookupLog log(4);
  push(log, 0, 2);
  const auto batch = log.read(1000, 100, 0ms);
  CHECK(batch.lookups.empty());
  CHECK(batch.next == 2);
}

TEST_CASE("a time is turned into the cursor of the first lookup that ended at or after it") {
  flow::LookupLog log(4);
  CHECK(log.cursor_since(kDay) == 0);
  push(log, 0, 10);  // kept: 6 to 9, which end at 7 s to 10 s
  CHECK(log.cursor_since(kDay) == 6);
  CHECK(log.cursor_since(kDay + 8s) == 7);
  CHECK(log.cursor_since(kDay + 8s + 1ms) == 8);
  CHECK(log.cursor_since(kDay + 1h) == 10);
}

TEST_CASE("a reader waits for the next lookup") {
  flow::LookupLog log(4);
  auto reader = std::async(std::launch::async, [&] { return log.read(0, 10, 1min); });
  log.push(lookup(3));
  const auto batch = reader.get();
  REQUIRE(batch.lookups.size() == 1);
  CHECK(batch.lookups[0]->id == 3);
}

TEST_CASE("closing wakes readers, and what is left can still be read") {
  flow::LookupLog log(4);
  auto reader = std::async(std::launch::async, [&] { return log.read(0, 10, std::chrono::milliseconds::max()); });
  log.close();
  CHECK(reader.get().lookups.empty());
  push(log, 0, 1);
  CHECK(log.read(0, 10, 1min).lookups.size() == 1);
  CHECK(log.read(1, 10, 1min).lookups.empty());
}
