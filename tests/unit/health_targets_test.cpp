// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/health/target_table.h"

using namespace cortexflow;
using namespace cortexflow::health;
using std::chrono::seconds;

namespace {

const Time kStart{std::chrono::hours(1)};
const Outcome kGood{CheckResult::kHealthy, "connected"};
const Outcome kBad{CheckResult::kRefused, "connection refused"};
const Outcome kLocal{CheckResult::kNotAsked, "Too many open files"};

Target target(int last) {
  Target made;
  made.address = *model::IpAddress::parse("10.0.0." + std::to_string(last));
  made.port = 80;
  made.check.healthy_threshold = 2;
  made.check.unhealthy_threshold = 3;
  return made;
}

// Asks a target, an interval after the other, and answers which of the outcomes changed what callers get.
std::vector<int> changes(TargetTable& table, const Target& of, const std::vector<Outcome>& outcomes) {
  std::vector<int> changed;
  Time now = kStart;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    now += of.check.interval;
    REQUIRE(table.take_due(now));
    if (table.note(of, outcomes[i], now)) changed.push_back(static_cast<int>(i));
  }
  return changed;
}

}  // namespace

TEST_CASE("results in a row change what a backend counts as, and a single one doesn't") {
  struct Row {
    const char* sentence;
    std::vector<Outcome> outcomes;
    std::vector<int> changed;
    Health health;
  };
  const Row rows[]{
      {"nobody has asked yet", {}, {}, Health::kUnknown},
      {"one good result makes it known", {kGood}, {}, Health::kHealthy},
      {"too few bad results leave it unknown, and used", {kBad, kBad}, {}, Health::kUnknown},
      {"three in a row: unhealthy", {kGood, kBad, kBad, kBad}, {3}, Health::kUnhealthy},
      {"three from the start: unhealthy", {kBad, kBad, kBad}, {2}, Health::kUnhealthy},
      {"three, but not in a row", {kBad, kBad, kGood, kBad, kBad}, {}, Health::kHealthy},
      {"one good result is not enough to come back", {kBad, kBad, kBad, kGood}, {2}, Health::kUnhealthy},
      {"two in a row are", {kBad, kBad, kBad, kGood, kGood}, {2, 4}, Health::kHealthy},
      {"two, but not in a row", {kBad, kBad, kBad, kGood, kBad, kGood}, {2}, Health::kUnhealthy},
      {"failures of this machine neither count nor interrupt",
       {kBad, kLocal, kBad, kLocal, kBad},
       {4},
       Health::kUnhealthy},
      {"nor do they make anything known", {kLocal, kLocal, kLocal}, {}, Health::kUnknown},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    TargetTable table(1);
    REQUIRE(table.add(target(1), kStart));
    CHECK(changes(table, target(1), row.outcomes) == row.changed);
    CHECK(table.find(target(1))->health == row.health);
    CHECK(table.unhealthy() == (row.health == Health::kUnhealthy ? 1 : 0));
    CHECK(table.unknown() == (row.health == Health::kUnknown ? 1 : 0));
  }
}

TEST_CASE("first checks are spread over the interval, and later ones come an interval after the one before") {
  TargetTable table(1);
  constexpr int kTargets = 250;
  for (int i = 0; i < kTargets; ++i) REQUIRE(table.add(target(i), kStart));
  int in_first_half = 0;
  while (const auto due = table.take_due(kStart + seconds(15))) {
    ++in_first_half;
    table.note(due->first, kGood, kStart + seconds(15));
  }
  CHECK(in_first_half > kTargets / 3);
  CHECK(in_first_half < kTargets * 2 / 3);
  int in_second_half = 0;
  while (const auto due = table.take_due(kStart + seconds(30))) ++in_second_half;
  CHECK(in_first_half + in_second_half == kTargets);
}

TEST_CASE("a late check is made once, not once for each that was missed") {
  TargetTable table(1);
  REQUIRE(table.add(target(1), kStart));
  const Time late = kStart + std::chrono::hours(24);
  const auto due = table.take_due(late);
  REQUIRE(due);
  table.note(due->first, kGood, late);
  CHECK_FALSE(table.take_due(late));
  CHECK(table.take_due(late + seconds(30)));
}

TEST_CASE("a target is in flight once at a time") {
  TargetTable table(1);
  REQUIRE(table.add(target(1), kStart));
  REQUIRE(table.take_due(kStart + seconds(60)));
  CHECK_FALSE(table.take_due(kStart + seconds(600)));
  CHECK_FALSE(table.next_due());
}

TEST_CASE("a target's state stays while a service wants it, and goes with the last") {
  TargetTable table(1);
  REQUIRE(table.add(target(1), kStart));
  REQUIRE(table.add(target(1), kStart));
  CHECK(changes(table, target(1), {kBad, kBad, kBad}) == std::vector<int>{2});
  table.remove(target(1));
  CHECK(table.find(target(1))->health == Health::kUnhealthy);
  table.remove(target(1));
  CHECK_FALSE(table.find(target(1)));
  CHECK(table.unhealthy() == 0);
  CHECK_FALSE(table.next_due());
  REQUIRE(table.add(target(1), kStart));
  CHECK(table.find(target(1))->health == Health::kUnknown);
}

TEST_CASE("a result for a target that has gone meanwhile is none") {
  TargetTable table(1);
  REQUIRE(table.add(target(1), kStart));
  REQUIRE(table.take_due(kStart + seconds(30)));
  table.remove(target(1));
  CHECK_FALSE(table.note(target(1), kBad, kStart + seconds(31)));
  REQUIRE(table.add(target(1), kStart));
  CHECK_FALSE(table.note(target(1), kBad, kStart + seconds(31)));
  CHECK_FALSE(table.find(target(1))->last);
}

TEST_CASE("a backend that is asked in another way from now on goes on as what it counts as") {
  TargetTable table(1);
  REQUIRE(table.add(target(1), kStart));
  CHECK(changes(table, target(1), {kBad, kBad, kBad}) == std::vector<int>{2});
  auto other = target(1);
  other.check.interval = seconds(5);
  const auto before = target(1);
  REQUIRE(table.add(other, kStart, table.find(before)));
  table.remove(before);
  CHECK(table.find(other)->health == Health::kUnhealthy);
  CHECK(changes(table, other, {kGood, kGood}) == std::vector<int>{1});
}

TEST_CASE("what comes when the table is full is not checked") {
  TargetTable table(1, 2);
  CHECK(table.add(target(1), kStart));
  CHECK(table.add(target(2), kStart));
  CHECK_FALSE(table.add(target(3), kStart));
  CHECK(table.add(target(2), kStart));
  table.remove(target(1));
  CHECK(table.add(target(3), kStart));
  CHECK(table.size() == 2);
}
