// SPDX-License-Identifier: Apache-2.0
#include "cli/service_merge.h"

#include <catch2/catch.hpp>

using namespace cortexflow::cli;
using nlohmann::ordered_json;

namespace {

ordered_json backend(const char* address, int active, const char* state = "ready") {
  return {{"address", address},
          {"active", active},
          {"chosen", 2 * active},
          {"state", state},
          {"connections",
           {{"results", {{"established", active}}}, {"failed", 1}, {"connect_mean_seconds", 0.25 * active}}}};
}

ordered_json service(const char* name, const ordered_json& backends) {
  return {{"name", name},         {"port", "http"},       {"protocol", "TCP"},
          {"number", 80},         {"active", 3},          {"pending", 0},
          {"refused", 1},         {"backends", backends}, {"problems", ordered_json::array()},
          {"held_since", nullptr}};
}

ordered_json unsigned_of(const ordered_json& json) { return ordered_json::parse(json.dump()); }

}  // namespace

TEST_CASE("services of several nodes are one list: counts add up, and where nodes differ is said") {
  const auto list = [](std::initializer_list<ordered_json> items) {
    return ordered_json(std::vector<ordered_json>(items));
  };
  const auto one = unsigned_of(list({service("shop/cart", list({backend("10.0.0.1:80", 1), backend("10.0.0.2:80", 1)})),
                                     service("shop/web", list({}))}));
  const auto two = unsigned_of(list({service("shop/cart", list({backend("10.0.0.1:80", 3, "unhealthy")}))}));
  const auto merged = merge_services({{"n1", one}, {"n2", two}});
  REQUIRE(merged.size() == 2);
  const auto& cart = merged[0];
  CHECK(cart["active"] == 6);
  CHECK(cart["refused"] == 2);
  CHECK(cart["nodes"] == ordered_json::array({"n1", "n2"}));
  CHECK(cart["backends"][0]["active"] == 4);
  CHECK(cart["backends"][0]["connections"]["results"]["established"] == 4);
  CHECK(cart["backends"][0]["connections"]["connect_mean_seconds"] == Approx(0.625));
  CHECK(cart["problems"] == ordered_json::array({"10.0.0.1:80 is unhealthy on n2", "10.0.0.2:80 is no backend on n2"}));
  CHECK(merged[1]["problems"] == ordered_json::array({"not known on n2"}));
}
