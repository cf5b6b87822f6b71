// SPDX-License-Identifier: Apache-2.0
// Random changes of many services: after each single map operation every lookup must still end at a backend of its own
// service, and in the end the maps must be what a fresh compile of the last configuration gives.
#include "agent/compile/service_book.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <set>
#include <unordered_map>

#include "agent/compile/adopt.h"

using namespace cortexflow;
using namespace cortexflow::compile;

// REQUIRE for what is asked millions of times.
#define HOLDS(...)                          \
  do {                                      \
    if (!(__VA_ARGS__)) FAIL(#__VA_ARGS__); \
  } while (false)

namespace {

// The kernel's tables, as octets.
struct Maps {
  std::map<Map, std::unordered_map<std::string, std::string>> maps;

  template <typename Value, typename Key>
  std::optional<Value> find(Map map, const Key& key) const {
    const auto table = maps.find(map);
    if (table == maps.end()) return std::nullopt;
    const auto found = table->second.find({reinterpret_cast<const char*>(&key), sizeof key});
    if (found == table->second.end()) return std::nullopt;
    Value value{};
    HOLDS(found->second.size() == sizeof value);
    std::memcpy(&value, found->second.data(), sizeof value);
    return value;
  }

  void apply(const Operation& operation) {
    auto& table = maps[operation.map];
    if (operation.erase) {
      HOLDS(table.erase(operation.key) == 1);
    } else {
      const auto found = table.find(operation.key);
      HOLDS((found == table.end() || found->second != operation.value));  // none that changes nothing
      table[operation.key] = operation.value;
    }
  }

  // Every frontend leads to a service, and every slot that counts to a backend of that service.
  void check_whole() const {
    const auto frontends = maps.find(Map::kFrontends);
    if (frontends == maps.end()) return;
    for (const auto& [key, value] : frontends->second) {
      cf_svc_frontend frontend{};
      std::memcpy(&frontend, value.data(), sizeof frontend);
      const auto service = find<cf_service>(Map::kServices, frontend.service);
      HOLDS(service);
      HOLDS((service->size > 0) == !(service->flags & CF_SVC_REFUSE));
      HOLDS(find<cf_service_load>(Map::kServiceLoads, frontend.service));
      check_table(service->table, service->size, frontend.service);
    }
    const auto subsets = maps.find(Map::kSubsets);
    if (subsets == maps.end()) return;
    for (const auto& [octets, value] : subsets->second) {
      cf_svc_subset_key key{};
      cf_svc_subset subset{};
      std::memcpy(&key, octets.data(), sizeof key);
      std::memcpy(&subset, value.data(), sizeof subset);
      HOLDS(subset.size > 0);
      check_table(subset.table, subset.size, key.service);
    }
  }

  void check_table(std::uint32_t table, std::uint32_t size, std::uint32_t service) const {
    for (std::uint32_t i = 0; i < size; ++i) {
      const auto slot = find<cf_svc_slot>(Map::kSlots, cf_svc_slot_key{table, i});
      HOLDS(slot);
      const auto backend = find<cf_backend>(Map::kBackends, slot->backend);
      HOLDS(backend);
      HOLDS(backend->service == service);
      HOLDS(find<cf_backend_load>(Map::kBackendLoads, slot->backend));
    }
  }

  // What a caller can see: frontend -> how often which backend address, by version.
  std::map<std::string, std::map<std::string, int>> meaning() const {
    std::map<std::string, std::map<std::string, int>> out;
    const auto table = [&](std::map<std::string, int>& to, std::uint32_t number, std::uint32_t size,
                           const std::string& as) {
      for (std::uint32_t i = 0; i < size; ++i) {
        const auto slot = find<cf_svc_slot>(Map::kSlots, cf_svc_slot_key{number, i});
        const auto backend = find<cf_backend>(Map::kBackends, slot->backend);
        ++to[as + std::string(reinterpret_cast<const char*>(&*backend), offsetof(cf_backend, service))];
      }
    };
    for (const auto& [key, value] : maps.at(Map::kFrontends)) {
      cf_svc_frontend frontend{};
      std::memcpy(&frontend, value.data(), sizeof frontend);
      const auto service = *find<cf_service>(Map::kServices, frontend.service);
      table(out[key], service.table, service.size, "");
      for (const auto& [octets, subset_value] :
           maps.count(Map::kSubsets) ? maps.at(Map::kSubsets) : std::unordered_map<std::string, std::string>{}) {
        cf_svc_subset_key subset_key{};
        cf_svc_subset subset{};
        std::memcpy(&subset_key, octets.data(), sizeof subset_key);
        std::memcpy(&subset, subset_value.data(), sizeof subset);
        if (subset_key.service == frontend.service)
          table(out[key], subset.table, subset.size, std::to_string(subset_key.version));
      }
    }
    return out;
  }

  std::size_t size(Map map) const { return maps.count(map) ? maps.at(map).size() : 0; }
};

model::IpAddress v4(std::uint8_t c, std::uint8_t d) {
  model::IpAddress address;
  address.octets = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, c, d};
  return address;
}

class Changes {
 public:
  explicit Changes(std::uint32_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  // Services that share backends, and now and then want one another's addresses.
  std::vector<ServicePlan> plans(const model::ObjectName& name, std::uint8_t number) {
    std::vector<ServicePlan> out;
    if (below(6) == 0) return out;
    for (std::size_t port = 0; port < 1 + below(2); ++port) {
      ServicePlan plan;
      plan.service = name;
      plan.port = port ? 81 : 80;
      plan.frontends.emplace_back(v4(1, number), static_cast<std::uint16_t>(80 + port));
      if (below(3) == 0) plan.frontends.emplace_back(v4(9, static_cast<std::uint8_t>(below(3))), 80);
      plan.algorithm = static_cast<cf_svc_algorithm>(1 + below(4));
      plan.slots = slots();
      for (const char* version : {"one", "two"}) {
        if (below(3) != 0) continue;
        if (auto some = slots(); !some.empty()) plan.by_version[version] = some;
      }
      if (below(3) == 0) drain(plan);
      out.push_back(std::move(plan));
    }
    return out;
  }

 private:
  // One that had callers, or one that never had.
  void drain(ServicePlan& plan) {
    const Backend backend{v4(2, static_cast<std::uint8_t>(below(12))), 8080};
    std::erase(plan.slots, backend);
    for (auto& [version, slots] : plan.by_version) std::erase(slots, backend);
    std::erase_if(plan.by_version, [](const auto& item) { return item.second.empty(); });
    plan.avoided[backend] = {{AvoidedBy::kDrain, "by the operator"}};
  }

  Slots slots() {
    Slots slots;
    const bool repeated = below(3) == 0;
    for (std::size_t n = below(9); n > 0; --n) {
      const Backend backend{v4(2, static_cast<std::uint8_t>(below(12))), 8080};
      if (repeated || std::find(slots.begin(), slots.end(), backend) == slots.end()) slots.push_back(backend);
    }
    return slots;
  }

  std::mt19937 random_;
};

model::ObjectName name_of(std::size_t i) { return {"shop", "s" + std::to_string(i)}; }

}  // namespace

TEST_CASE("after each map operation of any change, every lookup ends at a backend of its service") {
  constexpr std::size_t kServices = 8;
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    Changes changes(seed);
    ServiceBook book;
    Maps maps;
    std::map<model::ObjectName, std::vector<ServicePlan>> wanted;
    for (int round = 0; round < 40; ++round) {
      std::map<model::ObjectName, std::vector<ServicePlan>> changed;
      for (std::size_t n = 1 + changes.below(3); n > 0; --n) {
        const auto i = changes.below(kServices);
        changed[name_of(i)] = wanted[name_of(i)] = changes.plans(name_of(i), static_cast<std::uint8_t>(i));
      }
      for (const auto& operation : book.update(changed)) {
        maps.apply(operation);
        maps.check_whole();
      }
    }
    // Whoever holds a contested address may differ with history; give them all up before comparing.
    for (auto& [name, plans] : wanted) {
      for (auto& plan : plans) plan.frontends.resize(1);
    }
    for (const auto& operation : book.update(wanted)) maps.apply(operation);
    ServiceBook fresh_book;
    Maps fresh;
    for (const auto& operation : fresh_book.update(wanted)) fresh.apply(operation);
    HOLDS(maps.meaning() == fresh.meaning());
    for (const auto map : {Map::kFrontends, Map::kServices, Map::kServiceLoads, Map::kSubsets, Map::kSlots,
                           Map::kBackends, Map::kBackendLoads}) {
      HOLDS(maps.size(map) == fresh.size(map));  // nothing is left behind
    }
    std::map<model::ObjectName, std::vector<ServicePlan>> none;
    for (std::size_t i = 0; i < kServices; ++i) none[name_of(i)] = {};
    for (const auto& operation : book.update(none)) {
      maps.apply(operation);
      maps.check_whole();
    }
    for (const auto& [map, entries] : maps.maps) HOLDS(entries.empty());
  }
}

TEST_CASE("one endpoint's change is a handful of operations, whatever the service's size") {
  ServicePlan plan;
  plan.service = name_of(0);
  plan.frontends.emplace_back(v4(1, 0), 80);
  for (int i = 0; i < 200; ++i) plan.slots.push_back({v4(2, static_cast<std::uint8_t>(i)), 8080});
  ServiceBook book;
  REQUIRE(book.update({{plan.service, {plan}}}).size() > 600);
  SECTION("nothing changed: none") { CHECK(book.update({{plan.service, {plan}}}).empty()); }
  SECTION("one gone: slot, size, then the last slot and the backend with its load") {
    plan.slots.erase(plan.slots.begin() + 70);
    CHECK(book.update({{plan.service, {plan}}}).size() == 5);
  }
  SECTION("one more: the backend with its load, slot, size") {
    plan.slots.push_back({v4(3, 0), 8080});
    CHECK(book.update({{plan.service, {plan}}}).size() == 4);
  }
  SECTION("one replaced: the new backend, its slot, the old backend") {
    plan.slots[5] = {v4(3, 0), 8080};
    CHECK(book.update({{plan.service, {plan}}}).size() == 5);
  }
}

TEST_CASE("an address that two services want stays where it is until it is given up") {
  ServicePlan first, second;
  first.service = name_of(0);
  second.service = name_of(1);
  for (auto* plan : {&first, &second}) {
    plan->frontends.emplace_back(v4(1, 1), 80);
    plan->slots.push_back({v4(2, plan == &first ? 1 : 2), 80});
  }
  ServiceBook book;
  Maps maps;
  const auto apply = [&](const std::map<model::ObjectName, std::vector<ServicePlan>>& changed) {
    for (const auto& operation : book.update(changed)) {
      maps.apply(operation);
      maps.check_whole();
    }
  };
  apply({{first.service, {first}}});
  apply({{second.service, {second}}});
  const auto contested = [&] {
    return book.entries().at({second.service, 0, model::Protocol::kTcp, true}).contested.size();
  };
  CHECK(contested() == 1);
  CHECK(maps.size(Map::kFrontends) == 1);
  apply({{first.service, {}}});
  CHECK(contested() == 0);
  CHECK(maps.size(Map::kFrontends) == 1);
}

TEST_CASE("what an agent before left in the maps is taken over, not written again") {
  ServicePlan kept, gone;
  kept.service = name_of(0);
  gone.service = name_of(1);
  kept.frontends.emplace_back(v4(1, 1), 80);
  gone.frontends.emplace_back(v4(1, 2), 80);
  for (auto* plan : {&kept, &gone}) plan->slots = {{v4(2, 1), 80}, {v4(2, 2), 80}};
  ServiceBook before;
  Maps maps;
  for (const auto& operation : before.update({{kept.service, {kept}}, {gone.service, {gone}}})) maps.apply(operation);
  maps.maps[Map::kBackends][std::string(4, '\x7f')] =
      std::string(sizeof(cf_backend), 'x');  // of a writer that was killed
  std::map<Map, MapContents> contents;
  for (const auto& [map, entries] : maps.maps) contents[map].assign(entries.begin(), entries.end());
  const auto found = adopt(contents);
  REQUIRE(found.strays.size() == 1);
  maps.apply(found.strays[0]);
  ServiceBook book(found.adopted);
  CHECK(book.update({{kept.service, {kept}}}).empty());
  for (const auto& operation : book.drop_unclaimed()) {
    maps.apply(operation);
    maps.check_whole();
  }
  CHECK(maps.size(Map::kFrontends) == 1);
  CHECK(maps.size(Map::kBackends) == 2);
  CHECK(maps.size(Map::kSlots) == 2);
  CHECK(book.usage().backends == 2);
}

TEST_CASE("a contested address stays with who had it when the agent comes back, and goes on once that one has gone") {
  ServicePlan first, newer;
  first.service = name_of(1);
  newer.service = name_of(0);  // before it by name
  first.frontends.emplace_back(v4(1, 1), 80);
  newer.frontends = {{v4(1, 1), 80}, {v4(1, 2), 80}};
  first.slots = {{v4(2, 1), 80}};
  newer.slots = {{v4(2, 2), 80}};
  ServiceBook before;
  Maps maps;
  const auto apply = [&](const std::vector<Operation>& operations) {
    for (const auto& operation : operations) {
      maps.apply(operation);
      maps.check_whole();
    }
  };
  apply(before.update({{first.service, {first}}}));
  apply(before.update({{newer.service, {newer}}}));
  const auto reached = [&] {
    cf_svc_address key = to_abi({v4(1, 1), 80, model::Protocol::kTcp});
    return maps.find<cf_svc_frontend>(Map::kFrontends, key)->service;
  };
  const auto number = reached();
  std::map<Map, MapContents> contents;
  for (const auto& [map, entries] : maps.maps) contents[map].assign(entries.begin(), entries.end());
  ServiceBook book(adopt(contents).adopted);
  const PortKey newer_key{newer.service, 0, model::Protocol::kTcp, true};
  SECTION("both are there: nothing changes") {
    CHECK(book.update({{first.service, {first}}, {newer.service, {newer}}}).empty());
    CHECK(book.drop_unclaimed().empty());
    CHECK(reached() == number);
    CHECK(book.entries().at(newer_key).contested.size() == 1);
    apply(book.update({{first.service, {}}}));
  }
  SECTION("it went while no agent ran") {
    apply(book.update({{newer.service, {newer}}}));
    apply(book.drop_unclaimed());
  }
  CHECK(reached() == book.entries().at(newer_key).number);
  CHECK(reached() != number);
  CHECK(book.entries().at(newer_key).contested.empty());
  CHECK(maps.size(Map::kBackends) == 1);
  CHECK(book.usage().backends == 1);
}

TEST_CASE(
    "of two that want an address: a cluster IP counts before an outside one, then who has it, who is older, the name") {
  const auto plan_of = [](std::size_t name, bool cluster_ip, int created) {
    ServicePlan plan;
    plan.service = name_of(name);
    plan.frontends = {{v4(1, 1), 80}, {v4(3, static_cast<std::uint8_t>(name)), 80}};
    plan.cluster_frontends = cluster_ip ? 1 : 0;
    if (created != 0) plan.created = std::chrono::system_clock::time_point(std::chrono::seconds(created));
    plan.slots = {{v4(2, static_cast<std::uint8_t>(name)), 80}};
    return plan;
  };
  struct Row {
    const char* sentence;
    ServicePlan one, other;  // by name, the one is the first
    bool one_is_there;
    std::size_t winner;
  };
  const Row rows[]{
      {"by name", plan_of(0, true, 0), plan_of(1, true, 0), false, 0},
      {"the older", plan_of(0, true, 20), plan_of(1, true, 10), false, 1},
      {"the one that says when it was made", plan_of(0, true, 0), plan_of(1, true, 10), false, 1},
      {"the one that has it, though it is newer", plan_of(0, true, 20), plan_of(1, true, 10), true, 0},
      {"the cluster IP, though it is newer", plan_of(0, false, 10), plan_of(1, true, 20), false, 1},
      {"the cluster IP, though the other has it", plan_of(0, false, 10), plan_of(1, true, 20), true, 1},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    ServiceBook book;
    Maps maps;
    const auto apply = [&](const std::vector<Operation>& operations) {
      for (const auto& operation : operations) {
        maps.apply(operation);
        maps.check_whole();
      }
    };
    if (row.one_is_there) apply(book.update({{row.one.service, {row.one}}}));
    apply(book.update({{row.one.service, {row.one}}, {row.other.service, {row.other}}}));
    const Frontend wanted{v4(1, 1), 80, model::Protocol::kTcp};
    REQUIRE(book.holder(wanted));
    CHECK(book.holder(wanted)->service == name_of(row.winner));
    const auto number = maps.find<cf_svc_frontend>(Map::kFrontends, to_abi(wanted))->service;
    CHECK(book.find(number)->plan.service == name_of(row.winner));
    CHECK(book.contenders().at(wanted).size() == 1);
    CHECK(book.usage().frontends == 3);
    apply(book.update({{name_of(row.winner), {}}}));
    CHECK(book.holder(wanted)->service == name_of(1 - row.winner));
    CHECK(book.contenders().empty());
  }
}

TEST_CASE("a drained backend keeps its number and its count, through an agent's death too, and gets no slot") {
  ServicePlan plan;
  plan.service = name_of(0);
  plan.frontends.emplace_back(v4(1, 1), 80);
  const Backend stays{v4(2, 1), 80}, goes{v4(2, 2), 80};
  plan.slots = {stays, goes};
  ServiceBook book;
  Maps maps;
  const auto apply = [&](ServiceBook& to) {
    for (const auto& operation : to.update({{plan.service, {plan}}})) {
      maps.apply(operation);
      maps.check_whole();
    }
  };
  apply(book);
  const PortKey key{plan.service, 0, model::Protocol::kTcp, true};
  const auto number = book.entries().at(key).image.backends.at(goes);
  plan.slots = {stays};
  plan.avoided[goes] = {{AvoidedBy::kDrain, "by the operator"}};
  apply(book);
  CHECK(maps.find<cf_backend>(Map::kBackends, number)->flags == CF_SVC_BACKEND_DRAINED);
  CHECK(maps.size(Map::kSlots) == 1);

  std::map<Map, MapContents> contents;
  for (const auto& [map, entries] : maps.maps) contents[map].assign(entries.begin(), entries.end());
  auto found = adopt(contents);
  CHECK(found.strays.empty());
  ServiceBook next(std::move(found.adopted));
  CHECK(next.update({{plan.service, {plan}}}).empty());
  CHECK(next.entries().at(key).image.backends.at(goes) == number);

  SECTION("undrained, it is chosen again") {
    plan.slots = {stays, goes};
    plan.avoided.clear();
    apply(next);
    CHECK(maps.find<cf_backend>(Map::kBackends, number)->flags == 0);
    CHECK(maps.size(Map::kSlots) == 2);
  }
  SECTION("gone, nothing of it is left") {
    plan.avoided.clear();
    apply(next);
    CHECK(maps.size(Map::kBackends) == 1);
    CHECK(maps.size(Map::kBackendLoads) == 1);
  }
}

TEST_CASE("a change that a table has no room for is refused, said, and done when there is room") {
  ServicePlan small, large;
  small.service = name_of(0);
  large.service = name_of(1);
  small.frontends.emplace_back(v4(1, 1), 80);
  large.frontends.emplace_back(v4(1, 2), 80);
  for (std::uint8_t i = 0; i < 6; ++i) small.slots.push_back({v4(2, i), 80});
  for (std::uint8_t i = 0; i < 6; ++i) large.slots.push_back({v4(3, i), 80});
  Usage limits = kLimits;
  limits.backends = 10;
  ServiceBook book({}, limits);
  Maps maps;
  const auto apply = [&](const std::map<model::ObjectName, std::vector<ServicePlan>>& changed) {
    for (const auto& operation : book.update(changed)) {
      maps.apply(operation);
      maps.check_whole();
    }
  };
  const auto refusal = [&] { return book.entries().at({large.service, 0, model::Protocol::kTcp, true}).refusal; };
  apply({{small.service, {small}}});
  apply({{large.service, {large}}});
  CHECK(refusal() == "12 backends would be in use, 10 are possible");
  CHECK(maps.size(Map::kFrontends) == 1);
  CHECK(maps.size(Map::kBackends) == 6);
  SECTION("room is made by the other") {
    small.slots.resize(3);
    apply({{small.service, {small}}});
    CHECK(refusal().empty());
    CHECK(maps.size(Map::kBackends) == 9);
  }
  SECTION("it wants less") {
    large.slots.resize(4);
    apply({{large.service, {large}}});
    CHECK(refusal().empty());
    SECTION("and what it wanted too much then leaves it as it was") {
      large.slots.resize(1);
      for (std::uint8_t i = 0; i < 9; ++i) large.slots.push_back({v4(4, i), 80});
      apply({{large.service, {large}}});
      CHECK_FALSE(refusal().empty());
      CHECK(maps.size(Map::kBackends) == 10);
    }
  }
  SECTION("it is taken back") {
    apply({{large.service, {}}});
    CHECK(maps.size(Map::kFrontends) == 1);
  }
}
