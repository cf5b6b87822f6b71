// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/record_log.h"

#include <catch2/catch.hpp>
#include <future>

#include "agent/model/dns_lookup.h"

using namespace cortexflow;
using namespace std::chrono_literals;
using LookupLog = flow::RecordLog<model::DnsLookup>;

namespace {

const std::chrono::system_clock::time_point kDay{std::chrono::hours(24 * 20000)};

std::shared_ptr<const model::DnsLookup> lookup(std::uint16_t id) {
  auto made = std::make_shared<model::DnsLookup>();
  made->id = id;
  made->start = kDay + std::chrono::seconds(id);
  made->latency = 1s;
  return made;
}

void push(LookupLog& log, std::uint16_t from, std::uint16_t to) {
  for (std::uint16_t id = from; id < to; ++id) log.push(lookup(id));
}

}  // namespace

TEST_CASE("a reader gets the lookups from its cursor on, in order") {
  LookupLog log(8);
  push(log, 0, 5);
  const auto first = log.read(0, 2, 0ms);
  REQUIRE(first.records.size() == 2);
  CHECK(first.records[0]->id == 0);
  CHECK(first.records[1]->id == 1);
  CHECK(first.next == 2);
  CHECK(first.lost == 0);
  const auto rest = log.read(first.next, 100, 0ms);
  CHECK(rest.records.size() == 3);
  CHECK(rest.next == 5);
}

TEST_CASE("a reader that was too slow is told how much it lost") {
  LookupLog log(4);
  push(log, 0, 10);
  const auto batch = log.read(1, 100, 0ms);
  REQUIRE(batch.records.size() == 4);
  CHECK(batch.records[0]->id == 6);
  CHECK(batch.lost == 5);
  CHECK(batch.next == 10);
}

TEST_CASE("a cursor beyond the end is the end") {
  LookupLog log(4);
  push(log, 0, 2);
  const auto batch = log.read(1000, 100, 0ms);
  CHECK(batch.records.empty());
  CHECK(batch.next == 2);
}

TEST_CASE("a time is turned into the cursor of the first lookup that ended at or after it") {
  LookupLog log(4);
  CHECK(log.cursor_since(kDay) == 0);
  push(log, 0, 10);  // kept: 6 to 9, which end at 7 s to 10 s
  CHECK(log.cursor_since(kDay) == 6);
  CHECK(log.cursor_since(kDay + 8s) == 7);
  CHECK(log.cursor_since(kDay + 8s + 1ms) == 8);
  CHECK(log.cursor_since(kDay + 1h) == 10);
}

TEST_CASE("a reader waits for the next lookup") {
  LookupLog log(4);
  auto reader = std::async(std::launch::async, [&] { return log.read(0, 10, 1min); });
  log.push(lookup(3));
  const auto batch = reader.get();
  REQUIRE(batch.records.size() == 1);
  CHECK(batch.records[0]->id == 3);
}

TEST_CASE("closing wakes readers, and what is left can still be read") {
  LookupLog log(4);
  auto reader = std::async(std::launch::async, [&] { return log.read(0, 10, std::chrono::milliseconds::max()); });
  log.close();
  CHECK(reader.get().records.empty());
  push(log, 0, 1);
  CHECK(log.read(0, 10, 1min).records.size() == 1);
  CHECK(log.read(1, 10, 1min).records.empty());
}
