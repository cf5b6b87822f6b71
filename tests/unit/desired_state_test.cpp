// SPDX-License-Identifier: Apache-2.0
#include "agent/state/desired_state.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>

using namespace cortexflow;
using model::Kind;
using model::ObjectName;

namespace {

template <typename T>
model::Change put(Kind kind, T object) {
  const auto shared = std::make_shared<const T>(std::move(object));
  return {{kind, ObjectName(state::name_in(*shared))}, model::Object(shared)};
}

model::Change service(const std::string& name, std::uint16_t port = 80) {
  model::Service made;
  made.name = {"shop", name};
  made.ports = {{"", model::Protocol::kTcp, port, 0}};
  return put(Kind::kService, made);
}

model::Change slice(const std::string& name, const std::string& of, const std::vector<std::string>& pods) {
  model::EndpointSlice made;
  made.name = {"shop", name};
  made.service = of;
  for (const std::string& pod : pods) {
    made.endpoints.emplace_back();
    made.endpoints.back().pod = {"shop", pod};
  }
  return put(Kind::kEndpointSlice, made);
}

model::Change pod(const std::string& name, const std::string& version) {
  model::Pod made;
  made.name = {"shop", name};
  made.labels = {{"version", version}};
  return put(Kind::kPod, made);
}

model::Change policy(const std::string& name, std::vector<std::string> services) {
  model::TrafficPolicy made;
  made.name = {"shop", name};
  made.services = std::move(services);
  return put(Kind::kTrafficPolicy, made);
}

model::Change gone(Kind kind, const std::string& name) { return {{kind, {"shop", name}}, std::nullopt}; }

model::SourceUpdate changes(std::vector<model::Change> all) { return {std::move(all), {}, {}, 0, {}}; }

std::set<ObjectName> names(const std::vector<std::string>& of) {
  std::set<ObjectName> made;
  for (const std::string& name : of) made.insert({"shop", name});
  return made;
}

// Everything that a service's meaning depends on, by value, found without the state's own indexes.
struct Meaning {
  std::optional<model::Service> service;
  std::map<ObjectName, model::EndpointSlice> slices;
  std::map<ObjectName, model::Pod> pods;
  std::map<ObjectName, model::TrafficPolicy> policies;
  bool operator==(const Meaning&) const = default;
};

std::map<ObjectName, Meaning> meanings(const state::Snapshot& snapshot) {
  std::map<ObjectName, Meaning> all;
  snapshot.services.for_each([&](const auto& one) { all[one->name].service = *one; });
  snapshot.policies.for_each([&](const auto& one) {
    for (const std::string& name : one->services) all[{one->name.ns, name}].policies.emplace(one->name, *one);
  });
  snapshot.slices.for_each([&](const auto& one) {
    if (one->service.empty()) return;
    Meaning& meaning = all[{one->name.ns, one->service}];
    meaning.slices.emplace(one->name, *one);
    for (const auto& endpoint : one->endpoints) {
      if (const auto found = snapshot.pods.find(endpoint.pod)) meaning.pods.emplace(found->name, *found);
    }
  });
  return all;
}

// As meanings(), by the snapshot's parts.
Meaning by_parts(const state::Snapshot& snapshot, const ObjectName& name) {
  Meaning made;
  if (const auto found = snapshot.services.find(name)) made.service = *found;
  const auto parts = snapshot.parts.find(name);
  if (!parts) return made;
  for (const auto& one : parts->policies) made.policies.emplace(one->name, *one);
  for (const auto& one : parts->slices) {
    made.slices.emplace(one->name, *one);
    for (const auto& endpoint : one->endpoints) {
      if (const auto found = snapshot.pods.find(endpoint.pod)) made.pods.emplace(found->name, *found);
    }
  }
  return made;
}

}  // namespace

TEST_CASE("a change touches the services that it can concern") {
  struct Row {
    const char* sentence;
    model::Change change;
    std::vector<std::string> services;
  };
  for (const Row& row : {
           Row{"a new service", service("c"), {"c"}},
           Row{"a changed service", service("a", 81), {"a"}},
           Row{"a service that goes", gone(Kind::kService, "a"), {"a"}},
           Row{"a slice that changes", slice("a-1", "a", {"p"}), {"a"}},
           Row{"a slice that goes from one service to another", slice("a-1", "b", {}), {"a", "b"}},
           Row{"a slice that goes", gone(Kind::kEndpointSlice, "b-1"), {"b"}},
           Row{"a slice of no service", slice("x", "", {"p"}), {}},
           Row{"a pod behind two services", pod("p", "2"), {"a", "b"}},
           Row{"a pod behind none", pod("q", "2"), {}},
           Row{"a pod that goes", gone(Kind::kPod, "p"), {"a", "b"}},
           Row{"a policy that goes from one service to another", policy("t", {"b"}), {"a", "b"}},
           Row{"a policy that goes", gone(Kind::kTrafficPolicy, "t"), {"a"}},
           Row{"the going of what isn't there", gone(Kind::kService, "z"), {}},
       }) {
    INFO(row.sentence);
    state::DesiredState state({"manifests"});
    (void)state.apply(0, changes({service("a"), service("b"), slice("a-1", "a", {"p", "r"}), slice("b-1", "b", {"p"}),
                                  pod("p", "1"), policy("t", {"a"})}));
    const auto update = state.apply(0, changes({row.change}));
    CHECK(update.touched.services == names(row.services));
    CHECK(update.touched.pods.contains({"shop", row.change.key.name.name}) == (row.change.key.kind == Kind::kPod));
    CHECK(update.snapshot->generation == 2);
  }
}

TEST_CASE("a snapshot stays as it was while the state goes on") {
  state::DesiredState state({"manifests"});
  const auto first = state.apply(0, changes({service("a"), pod("p", "1")})).snapshot;
  const auto second = state.apply(0, changes({service("a", 81), gone(Kind::kPod, "p"), service("b")})).snapshot;
  CHECK(first->services.find({"shop", "a"})->ports[0].port == 80);
  CHECK(first->pods.size() == 1);
  CHECK_FALSE(first->services.find({"shop", "b"}));
  CHECK(second->services.find({"shop", "a"})->ports[0].port == 81);
  CHECK(second->services.size() == 2);
  CHECK(second->pods.size() == 0);
}

TEST_CASE("where two sources have an object the first counts, and the second is reported") {
  state::DesiredState state({"manifests", "kubernetes"});
  (void)state.apply(1, changes({service("a", 81)}));
  CHECK(state.snapshot()->services.find({"shop", "a"})->ports[0].port == 81);
  auto update = state.apply(0, changes({service("a", 80)}));
  CHECK(update.touched.services == names({"a"}));
  CHECK(update.snapshot->services.find({"shop", "a"})->ports[0].port == 80);
  REQUIRE(state.refusals().size() == 1);
  CHECK(state.refusals()[0].source == "kubernetes");
  CHECK(state.refusals()[0].reason ==
        "expected each object once; that of the source manifests counts, not that of the source kubernetes");
  CHECK(state.apply(1, changes({service("a", 82)})).touched.services.empty());
  update = state.apply(0, changes({gone(Kind::kService, "a")}));
  CHECK(update.touched.services == names({"a"}));
  CHECK(update.snapshot->services.find({"shop", "a"})->ports[0].port == 82);
  CHECK(state.refusals().empty());
}

TEST_CASE("policies that change nothing are reported for as long as they do") {
  state::DesiredState state({"manifests"});
  (void)state.apply(0, changes({policy("t", {"a"})}));
  REQUIRE(state.refusals().size() == 1);
  CHECK(state.refusals()[0].to_string() == "TrafficPolicy shop/t: spec.targetRefs: there is no Service shop/a");
  (void)state.apply(0, changes({service("a")}));
  CHECK(state.refusals().empty());
  (void)state.apply(0, changes({policy("u", {"a"})}));
  REQUIRE(state.refusals().size() == 1);
  CHECK(state.refusals()[0].object == "TrafficPolicy shop/u");
  CHECK(state.refusals()[0].reason == "Service shop/a has the policy t already");
  CHECK(state.snapshot()->parts.find({"shop", "a"})->policies[0]->name.name == "t");
  (void)state.apply(0, changes({gone(Kind::kTrafficPolicy, "t")}));
  CHECK(state.refusals().empty());
  CHECK(state.refused() == 0);
}

TEST_CASE("a source's refusals stand until its next update") {
  state::DesiredState state({"manifests"});
  model::SourceUpdate update;
  update.refusals = {{"manifests", "a.yaml", 3, "", "", "no"}};
  update.refused = 7;
  update.ignored = {{"apps/v1 Deployment", 1, "a.yaml", 9}};
  (void)state.apply(0, update);
  CHECK(state.refusals() == update.refusals);
  CHECK(state.ignored() == update.ignored);
  CHECK(state.refused() == 7);
  (void)state.apply(0, {});
  CHECK(state.refusals().empty());
  CHECK(state.ignored().empty());
}

TEST_CASE("whatever differs between two snapshots is in the touched set") {
  std::mt19937 random(20240229);
  const auto below = [&](unsigned limit) { return static_cast<int>(random() % limit); };
  const auto any = [&](const char* prefix) { return prefix + std::to_string(below(12)); };
  const int sources = GENERATE(1, 2);
  state::DesiredState state(sources == 1 ? std::vector<std::string>{"manifests"}
                                         : std::vector<std::string>{"manifests", "kubernetes"});
  auto before = state.snapshot();
  auto meant = meanings(*before);
  const auto random_change = [&]() -> model::Change {
    if (below(3) == 0) return gone(static_cast<Kind>(below(3)), any("x"));
    switch (below(5)) {
      case 0:
        return service(any("x"), static_cast<std::uint16_t>(80 + below(3)));
      case 1:
        return slice(any("x"), below(8) ? any("x") : "", {any("x"), any("x")});
      case 2:
        return pod(any("x"), std::to_string(below(3)));
      case 3:
        return policy(any("x"), below(2) ? std::vector<std::string>{any("x")} : std::vector<std::string>{"x1", "x2"});
      default:
        return below(2) ? gone(Kind::kTrafficPolicy, any("x"))
                        : put(Kind::kNamespace, model::Namespace{any("x"), {{"a", std::to_string(below(3))}}});
    }
  };
  for (int round = 0; round < 3000; ++round) {
    model::SourceUpdate update;
    for (int i = below(4); i >= 0; --i) update.changes.push_back(random_change());
    const auto [snapshot, touched] =
        state.apply(static_cast<std::size_t>(below(static_cast<unsigned>(sources))), update);
    const auto now = meanings(*snapshot);
    for (const auto& [name, meaning] : now) {
      if (!(meaning == by_parts(*snapshot, name))) FAIL("round " << round << ": parts of " << name.name);
      const bool same = meant.contains(name) && meant.at(name) == meaning;
      if (!same && !touched.services.contains(name)) FAIL("round " << round << ": " << name.name << " changed");
    }
    for (const auto& [name, meaning] : meant) {
      if (!now.contains(name) && !touched.services.contains(name))
        FAIL("round " << round << ": " << name.name << " went");
    }
    const auto check_all = [&](const auto& one, const auto& other, const auto& is_touched) {
      one.for_each([&](const auto& entry) {
        const auto found = other.find(state::name_in(*entry));
        if ((!found || !(*found == *entry)) && !is_touched(entry->name))
          FAIL("round " << round << ": a pod or namespace");
      });
    };
    const auto pod_touched = [&](const ObjectName& name) { return touched.pods.contains(name); };
    const auto namespace_touched = [&](const std::string& name) { return touched.namespaces.contains(name); };
    check_all(before->pods, snapshot->pods, pod_touched);
    check_all(snapshot->pods, before->pods, pod_touched);
    check_all(before->namespaces, snapshot->namespaces, namespace_touched);
    check_all(snapshot->namespaces, before->namespaces, namespace_touched);
    if (meanings(*before) != meant) FAIL("round " << round << ": the snapshot before has changed");
    before = snapshot;
    meant = now;
  }
  CHECK(before->generation == 3000);
}

TEST_CASE("the persistent map holds what a plain map holds") {
  std::mt19937 random(7);
  state::PersistentMap<model::Namespace> map;
  std::map<std::string, std::string> plain;
  for (std::uint64_t edit = 1; edit <= 200; ++edit) {
    const auto copy = map;
    const auto plain_copy = plain;
    for (int i = 0; i < 200; ++i) {
      const std::string name = std::to_string(random() % 3000);
      if (random() % 3 == 0) {
        map.erase({"", name}, edit);
        plain.erase(name);
      } else {
        map.put(std::make_shared<const model::Namespace>(model::Namespace{name, {{"edit", std::to_string(edit)}}}),
                edit);
        plain[name] = std::to_string(edit);
      }
    }
    const auto check = [](const auto& one, const std::map<std::string, std::string>& other) {
      REQUIRE(one.size() == other.size());
      std::map<std::string, std::string> found;
      one.for_each([&](const auto& entry) { found[entry->name] = entry->labels.at("edit"); });
      REQUIRE(found == other);
    };
    check(map, plain);
    check(copy, plain_copy);
  }
}
