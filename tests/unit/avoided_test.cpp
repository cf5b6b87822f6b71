// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/avoided.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "agent/compile/image.h"
#include "agent/compile/service_plan.h"

using namespace cortexflow;
using namespace cortexflow::compile;

namespace {

constexpr std::uint16_t kPort = 8080;

model::IpAddress ip(const std::string& text) { return *model::IpAddress::parse(text); }

// A service of `size` ready endpoints 10.0.0.1.., of which the first `canaries` are version canary.
struct Shop {
  model::Service service;
  model::EndpointSlice slice;
  model::TrafficPolicy policy;
  std::vector<model::Pod> pods;
  AvoidedBackends avoided;

  explicit Shop(std::size_t size, std::size_t canaries = 0) {
    service.name = {"shop", "cart"};
    service.cluster_ips = {ip("10.96.0.1")};
    service.ports = {{"", model::Protocol::kTcp, 80, 0}};
    slice.ports = {{"", model::Protocol::kTcp, kPort}};
    for (std::size_t i = 0; i < size; ++i) {
      model::Pod pod;
      pod.name = {"shop", "cart-" + std::to_string(i)};
      pod.labels = {{"version", i < canaries ? "canary" : "stable"}};
      model::Endpoint endpoint;
      endpoint.address = address(i);
      endpoint.pod = pod.name;
      slice.endpoints.push_back(endpoint);
      pods.push_back(pod);
    }
  }

  static model::IpAddress address(std::size_t i) { return ip("10.0.0." + std::to_string(i + 1)); }

  void avoid(std::size_t i, AvoidedBy by) { avoided[{address(i), kPort, model::Protocol::kTcp}][by] = "refused"; }

  [[nodiscard]] ServicePlan plan(const std::string& zone = "") const {
    ServiceInput input;
    input.service = &service;
    input.slices = {&slice};
    input.policy = &policy;
    for (const auto& pod : pods) input.pods[pod.name] = &pod;
    input.avoided = &avoided;
    auto planned = plan_service(input, {"node", zone, {}});
    REQUIRE(planned.plans.size() == 1);
    return planned.plans[0];
  }
};

bool has(const Slots& slots, std::size_t i) {
  return std::find(slots.begin(), slots.end(), Backend{Shop::address(i), kPort}) != slots.end();
}

}  // namespace

TEST_CASE("a backend that something speaks against is not in the slots, and is noted with the reason") {
  Shop shop(4);
  shop.avoid(1, AvoidedBy::kCheck);
  const auto plan = shop.plan();
  CHECK(plan.slots.size() == 3);
  CHECK_FALSE(has(plan.slots, 1));
  CHECK_FALSE(plan.panic);
  REQUIRE(plan.avoided.size() == 1);
  CHECK(plan.avoided.begin()->first.address == Shop::address(1));
  CHECK(plan.avoided.begin()->second == AvoidedReasons{{AvoidedBy::kCheck, "refused"}});
}

TEST_CASE("a reason is for one port and protocol, not for the address") {
  Shop shop(2);
  shop.avoided[{Shop::address(0), kPort, model::Protocol::kUdp}][AvoidedBy::kDrain] = "";
  shop.avoided[{Shop::address(0), kPort + 1, model::Protocol::kTcp}][AvoidedBy::kDrain] = "";
  CHECK(shop.plan().slots.size() == 2);
}

TEST_CASE("the panic threshold decides whether few healthy backends are used, or all that are ready") {
  struct Row {
    const char* sentence;
    std::size_t size, unhealthy, drained;
    std::uint32_t threshold;
    bool panic;
    std::size_t slots;
  };
  const Row rows[]{
      {"half are left at 50 %: they serve", 4, 2, 0, 50, false, 2},
      {"fewer than half are left at 50 %: all serve", 4, 3, 0, 50, true, 4},
      {"the only backend fails its checks: it serves all the same", 1, 1, 0, 50, true, 1},
      {"at 0 % a service may run out of backends", 2, 2, 0, 0, false, 0},
      {"at 100 % one is enough", 4, 1, 0, 100, true, 4},
      {"the drained do not count: one of two that remain is half", 4, 1, 2, 50, false, 1},
      {"the drained stay out in a panic", 4, 2, 2, 50, true, 2},
      {"draining alone is no panic, even of all", 3, 0, 3, 50, false, 0},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    Shop shop(row.size);
    shop.policy.panic_threshold = row.threshold;
    for (std::size_t i = 0; i < row.unhealthy; ++i) shop.avoid(i, AvoidedBy::kEjection);
    for (std::size_t i = 0; i < row.drained; ++i) shop.avoid(row.unhealthy + i, AvoidedBy::kDrain);
    const auto plan = shop.plan();
    CHECK(plan.panic == row.panic);
    CHECK(plan.slots.size() == row.slots);
    CHECK(plan.ready == row.size - row.drained);
    CHECK(plan.left == row.size - row.drained - row.unhealthy);
  }
}

TEST_CASE("backends that take no callers don't count for the panic threshold") {
  Shop shop(4, 1);
  shop.policy.subsets = {{"canary", {{"version", "canary"}}, 1}, {"stable", {{"version", "stable"}}, 0}};
  shop.avoid(0, AvoidedBy::kCheck);  // the one that has all callers
  const auto plan = shop.plan();
  CHECK(plan.panic);
  CHECK(has(plan.slots, 0));
}

TEST_CASE("a subset whose backends are unhealthy leaves its share, and its version's callers, to the others") {
  Shop shop(10, 1);
  shop.policy.subsets = {{"canary", {{"version", "canary"}}, 50}, {"stable", {{"version", "stable"}}, 50}};
  shop.policy.match_caller_version = true;
  shop.avoid(0, AvoidedBy::kCheck);
  const auto plan = shop.plan();
  CHECK(plan.slots.size() == 9);
  CHECK_FALSE(plan.by_version.contains("canary"));
}

TEST_CASE("where all of the zone's backends are unhealthy, those of other zones serve") {
  Shop shop(4);
  shop.service.prefer_close = true;
  shop.slice.endpoints[0].zone = "here";
  for (std::size_t i = 1; i < 4; ++i) shop.slice.endpoints[i].zone = "there";
  CHECK(shop.plan("here").slots.size() == 1);
  shop.avoid(0, AvoidedBy::kCheck);
  CHECK(shop.plan("here").slots.size() == 3);
}

TEST_CASE("the backends to be checked are those that callers of this node may get") {
  Shop shop(5);
  shop.slice.endpoints[0].ready = false;
  shop.slice.endpoints[1].terminating = true;
  shop.slice.endpoints[2].node = "node";
  ServiceInput input;
  input.service = &shop.service;
  input.slices = {&shop.slice};
  const auto ready = [&] {
    std::vector<model::IpAddress> addresses;
    for (const auto& backend : ready_backends(input, {"node", "", {}})) addresses.push_back(backend.address);
    return addresses;
  };
  using Addresses = std::vector<model::IpAddress>;
  CHECK(ready() == Addresses{Shop::address(2), Shop::address(3), Shop::address(4)});
  shop.service.internal_scope = model::TrafficScope::kLocal;
  CHECK(ready() == Addresses{Shop::address(2)});
  shop.service.cluster_ips.clear();  // headless: nothing is translated
  CHECK(ready().empty());
}

TEST_CASE("a backend without a share rests: it is in no table, and keeps its number and what it has") {
  Shop shop(3, 1);
  shop.policy.match_caller_version = true;
  shop.policy.subsets = {{"canary", {{"version", "canary"}}, 0}, {"stable", {{"version", "stable"}}, 100}};
  CHECK(shop.plan().resting.empty());  // callers of its version get it all the same
  shop.policy.match_caller_version = false;
  const auto plan = shop.plan();
  CHECK(plan.resting == std::set<Backend>{{Shop::address(0), kPort}});
  shop.policy.subsets[0].weight = 1;
  Numbers numbers;
  const auto before = place(shop.plan(), {}, nullptr, numbers);
  const auto after = place(plan, {}, &before, numbers);
  const Backend backend{Shop::address(0), kPort};
  CHECK(after.backends.at(backend) == before.backends.at(backend));
  CHECK(after.drained == plan.resting);
  CHECK(before.drained.empty());
}

TEST_CASE("least connections goes on where operators give weights of 0 alone, and what can't be is said once") {
  Shop shop(3);
  shop.policy.algorithm = model::Algorithm::kLeastConnections;
  shop.service.ports.push_back({"more", model::Protocol::kTcp, 81, 0});
  shop.slice.ports.push_back({"more", model::Protocol::kTcp, kPort + 1});
  model::ServiceOverride set;
  const auto planned = [&] {
    ServiceInput input;
    input.service = &shop.service;
    input.slices = {&shop.slice};
    input.policy = &shop.policy;
    input.set = &set;
    return plan_service(input, {"node", "", {}});
  };
  for (const std::uint16_t port : {kPort, static_cast<std::uint16_t>(kPort + 1)}) {
    set.backend_weights[{Shop::address(0), port}] = 0;
  }
  auto out = planned();
  REQUIRE(out.plans.size() == 2);
  CHECK(out.plans[0].algorithm == CF_SVC_LEAST_CONNECTIONS);
  CHECK(out.plans[0].slots.size() == 2);
  CHECK(out.refusals.empty());
  for (auto& [backend, weight] : set.backend_weights) weight = 5;
  out = planned();
  CHECK(out.plans[0].algorithm == CF_SVC_ROUND_ROBIN);
  CHECK(out.refusals.size() == 1);
}

TEST_CASE("UDP sockets stay with every backend that has not left, though it may get no new callers") {
  Shop shop(8, 1);
  for (auto* protocol : {&shop.service.ports[0].protocol, &shop.slice.ports[0].protocol}) {
    *protocol = model::Protocol::kUdp;
  }
  shop.policy.subsets = {{"canary", {{"version", "canary"}}, 0}, {"stable", {{"version", "stable"}}, 100}};
  const auto against = [&](std::size_t i, AvoidedBy by) {
    shop.avoided[{Shop::address(i), kPort, model::Protocol::kUdp}][by] = "because";
  };
  against(1, AvoidedBy::kCheck);
  against(2, AvoidedBy::kEjection);
  against(3, AvoidedBy::kDrain);
  auto& endpoints = shop.slice.endpoints;
  endpoints[4].ready = endpoints[5].ready = endpoints[6].ready = false;
  endpoints[4].terminating = endpoints[5].terminating = true;
  endpoints[5].serving = false;
  endpoints[7].zone = "there", endpoints[0].zone = "here";
  shop.service.prefer_close = true;
  const auto members = shop.plan("here").members;
  for (const std::size_t i : {0U, 1U, 2U, 3U, 4U, 7U}) CHECK(has(members, i));
  CHECK(members.size() == 6);
}

TEST_CASE("whatever is avoided: the drained never serve, the others only in a panic, and a panic leaves nobody out") {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random); };
    const std::size_t size = 1 + below(12);
    Shop shop(size, below(4));
    shop.policy.algorithm = static_cast<model::Algorithm>(below(5));
    shop.policy.hash_table_size = 251;
    shop.policy.panic_threshold = below(101);
    shop.policy.match_caller_version = below(2) == 0;
    for (std::size_t i = 0; i < size; ++i) {
      for (const auto by : {AvoidedBy::kCheck, AvoidedBy::kEjection, AvoidedBy::kDrain}) {
        if (below(5) == 0) shop.avoid(i, by);
      }
    }
    std::size_t ready = 0, left = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const auto found = shop.avoided.find({Shop::address(i), kPort, model::Protocol::kTcp});
      if (found == shop.avoided.end()) ++left;
      if (found == shop.avoided.end() || !found->second.contains(AvoidedBy::kDrain)) ++ready;
    }
    const auto plan = shop.plan();
    REQUIRE(plan.avoided.size() == shop.avoided.size());
    const bool panic = left * 100 < ready * shop.policy.panic_threshold;
    REQUIRE(plan.panic == panic);
    for (std::size_t i = 0; i < size; ++i) {
      const auto found = shop.avoided.find({Shop::address(i), kPort, model::Protocol::kTcp});
      const bool drained = found != shop.avoided.end() && found->second.contains(AvoidedBy::kDrain);
      const bool serves = !drained && (found == shop.avoided.end() || panic);
      REQUIRE(has(plan.slots, i) == serves);
      const auto versions = plan.by_version.find(shop.pods[i].labels["version"]);
      if (versions != plan.by_version.end()) REQUIRE(has(versions->second, i) == serves);
    }
  }
}
