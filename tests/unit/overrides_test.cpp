// SPDX-License-Identifier: Apache-2.0
// What operators set: kept in a file, checked against the manifests, dropped with its target.
#include "agent/state/overrides.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "agent/base/replace_file.h"
#include "agent/source/override/override_file.h"
#include "agent/state/desired_state.h"

using namespace cortexflow;
using namespace cortexflow::state;

namespace {

const model::ObjectName kCart{"shop", "cart"};

model::BackendAddress backend(const std::string& address, std::uint16_t port) {
  return {*model::IpAddress::parse(address), port};
}

Snapshot shop(std::vector<model::Subset> subsets) {
  Snapshot snapshot;
  auto service = std::make_shared<model::Service>();
  service->name = kCart;
  snapshot.services.put(service, 1);
  auto slice = std::make_shared<model::EndpointSlice>();
  slice->ports.push_back({"http", model::Protocol::kTcp, 8080});
  for (const char* address : {"10.0.0.1", "fd00::2"}) {
    model::Endpoint endpoint;
    endpoint.address = *model::IpAddress::parse(address);
    endpoint.pod = {"shop", std::string("pod-") + address[address[0] == 'f' ? 6 : 7]};
    slice->endpoints.push_back(endpoint);
  }
  auto policy = std::make_shared<model::TrafficPolicy>();
  policy->subsets = std::move(subsets);
  auto parts = std::make_shared<ServiceParts>();
  parts->name = kCart;
  parts->slices.push_back(slice);
  parts->policies.push_back(policy);
  snapshot.parts.put(parts, 1);
  return snapshot;
}

const std::vector<model::Subset> kSplit{{"stable", {{"v", "s"}}, 90}, {"canary", {{"v", "c"}}, 10}};

}  // namespace

TEST_CASE("overrides are read from the file as they were written") {
  model::ServiceOverrides all;
  all[kCart].subset_weights = {{"stable", 0}, {"canary", 100}};
  all[kCart].backend_weights = {{backend("10.0.0.1", 80), 5}, {backend("fd00::2", 81), 0}};
  all[{"a", "b"}].drained = {backend("fd00::2", 8080)};
  const auto read = source::parse_overrides(source::overrides_text(all));
  REQUIRE(read);
  CHECK(*read == all);
}

TEST_CASE("weights that would leave no backend are refused, as those of subsets are") {
  const auto snapshot = shop({});
  const auto some = set_weights(snapshot, kCart, {}, {{"pod-1", 0}});
  REQUIRE(some);
  const auto none = set_weights(snapshot, kCart, *some, {{"pod-2", 0}});
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == OverrideRefusal::Kind::kInvalid);
  CHECK(none.error().error.to_string().find("every backend's weight would be 0") != std::string::npos);
}

TEST_CASE("a file of overrides that is not as it should be is refused with its place") {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "not JSON"},
      {"[]", "version 1"},
      {R"({"version": 2, "services": {}})", "version 1"},
      {R"({"version": 1})", "version and services"},
      {R"({"version": 1, "services": {}, "more": 1})", "nothing else"},
      {R"({"version": 1, "services": {"cart": {}}})", "cart: expected NAMESPACE/NAME"},
      {R"({"version": 1, "services": {"shop/cart": []}})", "shop/cart: expected an object"},
      {R"({"version": 1, "services": {"shop/cart": {"colour": 1}}})", "shop/cart: colour: unknown"},
      {R"({"version": 1, "services": {"shop/cart": {"subset_weights": {"a": -1}}}})", "a: expected a weight"},
      {R"({"version": 1, "services": {"shop/cart": {"backend_weights": {"a": 1}}}})", "a: expected ADDRESS:PORT"},
      {R"({"version": 1, "services": {"shop/cart": {"drained": ["10.0.0.1:0"]}}})", "expected ADDRESS:PORT"},
      {R"({"version": 1, "services": {"shop/cart": {"drained": [7]}}})", "expected ADDRESS:PORT"},
  };
  for (const auto& [text, words] : kCases) {
    INFO(text);
    const auto read = source::parse_overrides(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find(words) != std::string::npos);
  }
}

TEST_CASE("a file is replaced whole, in a directory that is made for it; where it can't be, the error says so") {
  std::string top = "/tmp/replace-file-XXXXXX";
  REQUIRE(mkdtemp(top.data()) != nullptr);
  const auto path = top + "/state/overrides.json";
  REQUIRE(replace_file(path, "one"));
  REQUIRE(replace_file(path, "two"));
  std::string text;
  std::ifstream(path) >> text;
  CHECK(text == "two");
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  const auto refused = replace_file(path + "/below/file", "three");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("cannot make") != std::string::npos);
  std::filesystem::remove_all(top);
}

TEST_CASE("a target is a subset, an address with or without port, or a pod") {
  const auto snapshot = shop(kSplit);
  const auto set = set_weights(snapshot, kCart, {}, {{"canary", 20}, {"10.0.0.1", 3}, {"[fd00::2]:8080", 4}});
  REQUIRE(set);
  CHECK(set->subset_weights == std::map<std::string, std::uint32_t>{{"canary", 20}});
  CHECK(set->backend_weights.at(backend("10.0.0.1", 8080)) == 3);
  CHECK(set->backend_weights.at(backend("fd00::2", 8080)) == 4);
  const auto drained = set_drained(snapshot, kCart, *set, "pod-2", true);
  REQUIRE(drained);
  CHECK(drained->drained.contains(backend("fd00::2", 8080)));
  CHECK(set_drained(snapshot, kCart, *drained, "fd00::2", false)->drained.empty());
  const auto reset = reset_weights(snapshot, kCart, *drained);
  CHECK((reset->subset_weights.empty() && reset->backend_weights.empty() && !reset->drained.empty()));
}

TEST_CASE("weights that would leave nobody chosen, or a subset unawares without callers, are refused") {
  using Kind = OverrideRefusal::Kind;
  const auto split = shop(kSplit);
  auto even = kSplit;
  even[0].weight = even[1].weight = 0;
  const auto unsplit = shop(even);
  CHECK(set_weights(split, kCart, {}, {{"stable", 0}, {"canary", 0}}).error().kind == Kind::kInvalid);
  CHECK(set_weights(split, kCart, {}, {{"stable", 0}}));
  CHECK(set_weights(unsplit, kCart, {}, {{"canary", 10}}).error().kind == Kind::kInvalid);
  CHECK(set_weights(unsplit, kCart, {}, {{"canary", 10}, {"stable", 90}}));
  CHECK(set_weights(split, kCart, {}, {{"canary", kWeightMax + 1}}).error().kind == Kind::kInvalid);
  CHECK(set_weights(split, kCart, {}, {{"none", 1}}).error().kind == Kind::kUnknown);
  CHECK(set_weights(split, {"shop", "none"}, {}, {{"canary", 1}}).error().kind == Kind::kUnknown);
  CHECK(set_drained(split, kCart, {}, "10.0.0.1:81", true).error().kind == Kind::kUnknown);
}

TEST_CASE("what is set goes with its target, and only that") {
  model::ServiceOverride set;
  set.subset_weights = {{"canary", 0}, {"gone", 5}};
  set.backend_weights = {{backend("10.0.0.1", 8080), 2}, {backend("10.0.0.1", 81), 2}};
  set.drained = {backend("fd00::2", 8080), backend("fd00::3", 8080)};
  const auto said = drop_gone(shop(kSplit), kCart, set);
  CHECK(said.size() == 3);
  CHECK(set.subset_weights.size() == 1);
  CHECK(set.backend_weights.size() == 1);
  CHECK(set.drained.size() == 1);
  CHECK(drop_gone(shop(kSplit), kCart, set).empty());
  SECTION("weights that leave nobody chosen, the other subset being gone, go too") {
    CHECK(drop_gone(shop({kSplit[1]}), kCart, set).size() == 1);
    CHECK(set.subset_weights.empty());
  }
  SECTION("all goes with the service") {
    CHECK(drop_gone(Snapshot{}, kCart, set).size() == 3);
    CHECK(set.empty());
  }
}

TEST_CASE("a backend is found however its address is spelled") {
  const auto snapshot = shop({});
  for (const char* spelling :
       {"10.0.0.1", "10.0.0.1:8080", "::ffff:10.0.0.1", "::FFFF:a00:1", "[::ffff:10.0.0.1]:8080", "pod-1"}) {
    INFO(spelling);
    const auto set = set_drained(snapshot, kCart, {}, spelling, true);
    REQUIRE(set);
    CHECK(set->drained == std::set{backend("10.0.0.1", 8080)});
    const auto back = set_drained(snapshot, kCart, *set, "10.0.0.1:8080", false);
    REQUIRE(back);
    CHECK(back->empty());
  }
  for (const char* spelling : {"fd00::2", "FD00::2", "fd00:0::0:2", "fd00:0:0:0:0:0:0:2", "[FD00:0::2]:8080"}) {
    INFO(spelling);
    const auto set = set_weights(snapshot, kCart, {}, {{spelling, 3}});
    REQUIRE(set);
    CHECK(set->backend_weights == std::map<model::BackendAddress, std::uint32_t>{{backend("fd00::2", 8080), 3}});
  }
  for (const char* spelling : {"10.0.0.1:8081", "fd00::3", "[fd00::2]", "[fd00::2]:", "10.0.0.1:", ""}) {
    INFO(spelling);
    CHECK_FALSE(set_drained(snapshot, kCart, {}, spelling, true));
  }
}
