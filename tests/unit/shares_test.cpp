// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/shares.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

using namespace cortexflow::compile;

namespace {

std::vector<std::string> backends(int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back("10.0.0." + std::to_string(i) + "#8080");
  return names;
}

}  // namespace

TEST_CASE("a weighted sequence has the exact shares in every window of its length") {
  const std::vector<std::uint64_t> weights{90, 10, 0, 50};
  const auto once = weighted_sequence(weights, 1000);
  REQUIRE(once.size() == 15);  // 9 + 1 + 5
  auto twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  for (std::size_t start = 0; start < once.size(); ++start) {
    std::map<std::uint32_t, int> seen;
    for (std::size_t i = 0; i < once.size(); ++i) ++seen[twice[start + i]];
    CHECK(seen == std::map<std::uint32_t, int>{{0, 9}, {1, 1}, {3, 5}});
  }
}

TEST_CASE("equal weights visit each backend once") {
  CHECK(weighted_sequence({7, 7, 7}, 100) == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("a weighted sequence that is too long, or of nothing, is none") {
  CHECK(weighted_sequence({1000, 1}, 1000).empty());
  CHECK(weighted_sequence({UINT64_MAX, 1}, 1000).empty());
  CHECK(weighted_sequence({0, 0}, 1000).empty());
  CHECK(weighted_sequence({}, 1000).empty());
}

TEST_CASE("a Maglev table shares its slots nearly evenly, and by weight") {
  const auto table = maglev_table(backends(100), std::vector<std::uint64_t>(100, 1), 65537);
  std::map<std::uint32_t, int> seen;
  for (const auto backend : table) ++seen[backend];
  REQUIRE(seen.size() == 100);
  for (const auto& [backend, slots] : seen) CHECK(std::abs(slots - 655) <= 1);
  const auto weighted = maglev_table(backends(2), {3, 1}, 1021);
  CHECK(std::abs(std::count(weighted.begin(), weighted.end(), 0U) - 766) <= 3);
}

TEST_CASE("a Maglev table depends on who the backends are, not on their order") {
  auto names = backends(10);
  const auto forward = maglev_table(names, std::vector<std::uint64_t>(10, 1), 1021);
  std::reverse(names.begin(), names.end());
  const auto backward = maglev_table(names, std::vector<std::uint64_t>(10, 1), 1021);
  for (std::size_t i = 0; i < forward.size(); ++i) REQUIRE(9 - forward[i] == backward[i]);
}

TEST_CASE("when one of 100 backends leaves a Maglev table, few of the others' slots move") {
  const auto names = backends(100);
  std::vector<std::uint64_t> weights(100, 1);
  const auto before = maglev_table(names, weights, 65537);
  weights[42] = 0;
  const auto after = maglev_table(names, weights, 65537);
  int moved = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    REQUIRE(after[i] != 42);
    if (before[i] != 42 && before[i] != after[i]) ++moved;
  }
  // The paper (5.3) has about 2 % with 1,000 backends on this size; a plain modulus moves 99 %.
  CHECK(moved < 65537 * 3 / 100);
}

TEST_CASE("callers whose names count upwards are spread over a Maglev table as by chance") {
  struct Row {
    std::string network, prefix;
    int callers;
  };
  for (const auto& row : {Row{"10.62.0.", "bench/caller-", 1000}, Row{"10.0.0.", "shop/cart-7d9f-", 5000}}) {
    std::vector<std::string> names;
    for (int i = 100; i < 200; ++i) names.push_back(row.network + std::to_string(i) + "#8080");
    const auto table = maglev_table(names, std::vector<std::uint64_t>(100, 1), 16381);
    std::map<std::uint32_t, double> callers;
    for (int i = 0; i < row.callers; ++i)
      callers[table[caller_hash(row.prefix + std::to_string(i)) % table.size()]] += 1;
    const double expected = row.callers / 100.0;
    double chi_squared = 0;
    for (std::uint32_t backend = 0; backend < 100; ++backend) {
      chi_squared += (callers[backend] - expected) * (callers[backend] - expected) / expected;
    }
    CAPTURE(row.network, row.prefix);
    CHECK(chi_squared < 149);  // 99 degrees of freedom: one in 1,000; the names, and so the outcome, are fixed
  }
}
