// SPDX-License-Identifier: Apache-2.0
// Random changes of the edge's services: after each single map write every packet must still end at a backend of its
// own service, and in the end the maps must hold what a fresh compile of the last configuration gives.
#include "agent/compile/edge_book.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "agent/compile/deny_plan.h"
#include "agent/compile/image.h"

using namespace cortexflow;
using namespace cortexflow::compile;

namespace {

template <typename Value>
Value value_of(const std::string& octets) {
  Value value{};
  REQUIRE(octets.size() == sizeof value);
  std::memcpy(&value, octets.data(), sizeof value);
  return value;
}

struct Maps {
  std::map<std::uint32_t, cf_edge_backend> backends;
  std::map<std::uint32_t, EdgeSlots> tables;
  std::map<std::uint32_t, std::set<std::uint32_t>> used;  // table -> backends that its slots name
  std::map<std::string, cf_edge_frontend> frontends;
  std::set<std::string> ranges;

  void apply(const EdgeOperation& operation) {
    switch (operation.map) {
      case EdgeMap::kBackends: {
        REQUIRE_FALSE(operation.erase);
        const auto backend = value_of<cf_edge_backend>(operation.value);
        const auto number = value_of<std::uint32_t>(operation.key);
        if (backend.id == 0) {
          REQUIRE(backends.erase(number) == 1);
        } else {
          REQUIRE((!backends.count(number) || backends[number].id == backend.id));  // not given to another at once
          backends[number] = backend;
        }
        return;
      }
      case EdgeMap::kTables: {
        const auto number = value_of<std::uint32_t>(operation.key);
        if (operation.erase) {
          REQUIRE(tables.erase(number) == 1);
          return;
        }
        REQUIRE(operation.value.size() == sizeof(cf_edge_table));
        auto& slots = tables[number];
        slots.resize(CF_EDGE_TABLE_SLOTS);
        std::memcpy(slots.data(), operation.value.data(), operation.value.size());
        std::vector<bool> named(CF_EDGE_BACKENDS_MAX, false);
        for (const auto& slot : slots) named[slot.now] = named[slot.before] = true;
        used[number].clear();
        for (std::uint32_t backend = 1; backend < named.size(); ++backend) {
          if (named[backend]) used[number].insert(backend);
        }
        return;
      }
      case EdgeMap::kRanges:
        if (operation.erase) {
          REQUIRE(ranges.erase(operation.key) == 1);
        } else {
          REQUIRE(ranges.insert(operation.key).second);
        }
        return;
      case EdgeMap::kFrontends:
        if (operation.erase) {
          REQUIRE(frontends.erase(operation.key) == 1);
        } else {
          frontends[operation.key] = value_of<cf_edge_frontend>(operation.value);
        }
        return;
    }
  }

  // As an agent that comes back finds them.
  EdgeAdopted adopted() const {
    const auto octets = [](const auto& value) {
      return std::string(reinterpret_cast<const char*>(&value), sizeof value);
    };
    std::map<EdgeMap, std::vector<std::pair<std::string, std::string>>> contents;
    for (const auto& [key, value] : frontends) contents[EdgeMap::kFrontends].emplace_back(key, octets(value));
    for (const auto& [key, value] : backends) contents[EdgeMap::kBackends].emplace_back(octets(key), octets(value));
    for (const auto& key : ranges) contents[EdgeMap::kRanges].emplace_back(key, octets(std::uint32_t{1}));
    for (const auto& [key, slots] : tables) {
      contents[EdgeMap::kTables].emplace_back(
          octets(key), std::string(reinterpret_cast<const char*>(slots.data()), sizeof(cf_edge_table)));
    }
    return adopt_edge(contents);
  }

  void check_whole() const {
    std::map<std::uint32_t, std::uint32_t> seen;
    for (const auto& [key, frontend] : frontends) {
      if (frontend.mode == CF_EDGE_LOCAL_BACKEND || !seen.emplace(frontend.table, frontend.service).second) continue;
      const auto table = tables.find(frontend.table);
      REQUIRE(table != tables.end());
      for (const auto number : used.at(frontend.table)) {
        const auto backend = backends.find(number);
        REQUIRE(backend != backends.end());
        REQUIRE(backend->second.service == frontend.service);
      }
    }
  }

  // Frontend -> how many slots which address has.
  std::map<std::string, std::map<std::string, int>> meaning() const {
    std::map<std::string, std::map<std::string, int>> out;
    for (const auto& [key, frontend] : frontends) {
      auto& shares = out[key + static_cast<char>(frontend.mode) + static_cast<char>(frontend.flags)];
      if ((frontend.flags & CF_EDGE_LIMITED) != 0) {
        for (const auto& range : ranges) {
          auto found = value_of<cf_edge_range>(range);
          if (std::exchange(found.service, 0U) != frontend.service) continue;
          ++shares["for " + std::string(reinterpret_cast<const char*>(&found), sizeof found)];
        }
      }
      if (frontend.mode == CF_EDGE_LOCAL_BACKEND) continue;
      for (const auto& slot : tables.at(frontend.table)) {
        if (slot.now == 0) continue;
        const auto& backend = backends.at(slot.now);
        ++shares[std::string(reinterpret_cast<const char*>(&backend), offsetof(cf_edge_backend, pad))];
      }
    }
    return out;
  }
};

model::IpAddress v4(std::uint8_t c, std::uint8_t d) {
  model::IpAddress address;
  address.octets = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, c, d};
  return address;
}

model::ObjectName name_of(std::size_t i) { return {"shop", "s" + std::to_string(i)}; }

class Changes {
 public:
  explicit Changes(std::uint32_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  std::vector<EdgePlan> plans(std::size_t number) {
    if (below(6) == 0) return {};
    EdgePlan plan;
    plan.service = name_of(number);
    plan.frontends.emplace_back(v4(1, static_cast<std::uint8_t>(number)), 80);
    if (below(3) == 0) plan.frontends.emplace_back(v4(9, static_cast<std::uint8_t>(below(2))), 80);
    plan.mode = below(2) ? CF_EDGE_NAT : CF_EDGE_IPIP;
    if (below(2) == 0) {
      plan.limited = {plan.frontends.front()};
      for (std::size_t i = 0; i < 3; ++i) {
        if (below(2) == 0) plan.ranges.push_back({v4(7, static_cast<std::uint8_t>(i)), 32});
      }
    }
    std::set<std::size_t> who;
    for (std::size_t n = below(6); n > 0; --n) who.insert(below(8));
    for (const auto one : who) {
      plan.backends.push_back({{v4(2, static_cast<std::uint8_t>(one)), 8080}, 1 + below(2), one < 3, below(5) == 0});
    }
    return {plan};
  }

 private:
  std::mt19937 random_;
};

EdgePlan plan_of(int backends) {
  EdgePlan plan;
  plan.service = name_of(0);
  plan.frontends.emplace_back(v4(1, 0), 80);
  for (int i = 0; i < backends; ++i) plan.backends.push_back({{v4(2, static_cast<std::uint8_t>(i)), 8080}, 1});
  return plan;
}

}  // namespace

TEST_CASE("after each map write of any change, every packet to the edge ends at a backend of its service") {
  constexpr std::size_t kServices = 4;
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    Changes changes(seed);
    EdgeBook book;
    Maps maps;
    std::map<model::ObjectName, std::vector<EdgePlan>> wanted;
    const auto apply = [&](const std::vector<EdgeOperation>& operations) {
      for (const auto& operation : operations) {
        maps.apply(operation);
        maps.check_whole();
      }
    };
    for (int round = 0; round < 12; ++round) {
      std::map<model::ObjectName, std::vector<EdgePlan>> changed;
      for (std::size_t n = 1 + changes.below(2); n > 0; --n) {
        const auto i = changes.below(kServices);
        changed[name_of(i)] = wanted[name_of(i)] = changes.plans(i);
      }
      apply(book.update(changed));
      if (changes.below(3) == 0) apply(book.settle(name_of(changes.below(kServices))));
      if (changes.below(3) == 0) apply(book.clear(name_of(changes.below(kServices))));
    }
    // Whoever holds a contested address may differ with history; give them all up before comparing.
    for (auto& [name, plans] : wanted) {
      for (auto& plan : plans) plan.frontends.resize(1);
    }
    apply(book.update(wanted));
    EdgeBook fresh_book;
    Maps fresh;
    for (const auto& operation : fresh_book.update(wanted)) fresh.apply(operation);
    REQUIRE(maps.meaning() == fresh.meaning());
    REQUIRE(maps.backends.size() == fresh.backends.size());
    REQUIRE(maps.tables.size() == fresh.tables.size());
    std::map<model::ObjectName, std::vector<EdgePlan>> none;
    for (std::size_t i = 0; i < kServices; ++i) none[name_of(i)] = {};
    apply(book.update(none));
    REQUIRE((maps.backends.empty() && maps.tables.empty() && maps.frontends.empty() && maps.ranges.empty()));
    REQUIRE_FALSE(book.has_local());
  }
}

TEST_CASE("when one of 100 backends leaves, its slots get new backends and few others are moved, with a memory") {
  EdgeBook book;
  auto plan = plan_of(100);
  (void)book.update({{plan.service, {plan}}});
  const auto before = book.entries().begin()->second;
  const auto left = before.numbers.at(plan.backends[42].backend);
  SECTION("gone at once") {
    plan.backends.erase(plan.backends.begin() + 42);
    CHECK(book.update({{plan.service, {plan}}}).size() == 2);  // the table, the backend
    const auto& slots = book.entries().begin()->second.slots;
    std::uint32_t its = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      REQUIRE(slots[i].now != left);
      its += before.slots[i].now == left;
      // A slot that moved says who had it, if he is there to ask.
      const bool moved = slots[i].now != before.slots[i].now;
      REQUIRE(slots[i].before == (moved && before.slots[i].now != left ? before.slots[i].now : 0));
    }
    CHECK(states_of(slots).moved < 65537 * 3 / 100);
    CHECK(std::abs(static_cast<int>(its) - 655) <= 1);
  }
  SECTION("draining: its slots remember it, until the move is over, and then that flows are pinned") {
    plan.backends[42].draining = true;
    (void)book.update({{plan.service, {plan}}});
    const auto moved = states_of(book.entries().begin()->second.slots).moved;
    CHECK(moved > 655);
    CHECK(book.settle(plan.service).size() == 1);
    auto states = states_of(book.entries().begin()->second.slots);
    CHECK((states.moved == 0 && states.pinned == moved));
    CHECK(book.settle(plan.service).empty());
    CHECK(book.clear(plan.service).size() == 1);
    states = states_of(book.entries().begin()->second.slots);
    CHECK((states.moved == 0 && states.pinned == 0));
  }
  SECTION("nothing changed: nothing is written") { CHECK(book.update({{plan.service, {plan}}}).empty()); }
}

TEST_CASE("a service's outside is its node ports, load balancer and external addresses, by family and scope") {
  model::Service service;
  service.name = name_of(0);
  service.type = model::ServiceType::kLoadBalancer;
  service.cluster_ips = {v4(96, 1)};
  service.external_ips = {v4(5, 1)};
  service.load_balancer_ips = {v4(6, 1)};
  service.ports = {{"web", model::Protocol::kTcp, 80, 30080}};
  model::EndpointSlice slice;
  slice.ports = {{"web", model::Protocol::kTcp, 8080}};
  slice.endpoints.resize(3);
  for (std::uint8_t i = 0; i < 3; ++i) slice.endpoints[i].address = v4(2, i);
  slice.endpoints[0].node = "here";
  slice.endpoints[1].ready = false;
  slice.endpoints[1].terminating = true;
  model::IpAddress node6;
  node6.octets[0] = 0xfd;
  const NodeContext node{"here", "", {v4(0, 1), node6}};
  const ServiceInput input{&service, {&slice}, nullptr, {}};
  const auto plans = plan_edge(input, node);
  REQUIRE(plans.size() == 1);
  const std::vector<std::pair<model::IpAddress, std::uint16_t>> frontends{
      {v4(0, 1), 30080}, {v4(5, 1), 80}, {v4(6, 1), 80}};
  CHECK(plans[0].frontends == frontends);
  REQUIRE(plans[0].backends.size() == 3);
  CHECK((plans[0].backends[0].local && !plans[0].backends[1].local));
  CHECK((plans[0].backends[1].draining && !plans[0].backends[2].draining));
  const auto all_families = [&] {
    return std::pair(plan_edge(input, node).size(), plan_service(input, node).plans.size());
  };
  CHECK(all_families() ==
        std::pair<std::size_t, std::size_t>(1, 1));  // single stack: the node's IPv6 is left to others
  service.cluster_ips.push_back(node6);
  service.cluster_ips.back().octets[15] = 1;
  CHECK(all_families() == std::pair<std::size_t, std::size_t>(2, 2));
  service.source_ranges = {{v4(7, 0), 24}};  // of the balancer's address alone; none of IPv6 lets nobody in there
  service.load_balancer_ips.push_back(node6);
  const auto limited = plan_edge(input, node);
  CHECK((limited[0].limited == std::vector{frontends[2]} && limited[0].ranges == service.source_ranges));
  CHECK((limited[1].limited.size() == 1 && limited[1].ranges.empty()));
  service.external_scope = model::TrafficScope::kLocal;
  CHECK(plan_edge(input, node)[0].backends.size() == 1);
  service.type = model::ServiceType::kClusterIp;
  CHECK(plan_edge(input, node)[0].frontends.size() == 1);
  service.external_ips.clear();
  CHECK(plan_edge(input, node).empty());
}

TEST_CASE("a deny entry says what the prefixes around it say, and IPv6 rules leave IPv4 alone") {
  DenyRule wide{v4(0, 0), 8}, narrow{v4(7, 7), 32};
  wide.out = true;
  narrow.audit = true;
  narrow.until_ns = 5;
  DenyRule all_v6{{}, 0};
  const auto entries = deny_entries({narrow, wide, all_v6});
  REQUIRE(entries.size() == 4);  // the fourth: IPv4 as a whole, which ::/0 would cover
  CHECK(deny_flags(entries) == CF_EDGE_DENY_ANY);
  const auto find = [&](const model::IpAddress& address, unsigned length) {
    cf_edge_deny_key key{};
    key.prefix_length = 16 + length;
    std::copy(address.octets.begin(), address.octets.end(), key.address);
    const auto found = entries.find({reinterpret_cast<const char*>(&key), sizeof key});
    REQUIRE(found != entries.end());
    return value_of<cf_edge_deny>(found->second);
  };
  const auto inner = find(v4(7, 7), 128);
  CHECK((inner.audit_until_ns[CF_EDGE_IN] == 5 && inner.drop_until_ns[CF_EDGE_IN] == kForGood));
  CHECK(inner.drop_until_ns[CF_EDGE_OUT] == kForGood);
  model::IpAddress zero;
  CHECK(find(zero, 0).drop_until_ns[CF_EDGE_IN] == kForGood);
  zero.octets[10] = zero.octets[11] = 0xff;
  CHECK(find(zero, 96).drop_until_ns[CF_EDGE_IN] == 0);
}

TEST_CASE("a backend on this node may answer, whatever a writer that was killed had come to") {
  auto plan = plan_of(2);
  plan.backends[0].local = plan.backends[1].local = true;
  EdgeBook before;
  Maps maps;
  for (const auto& operation : before.update({{plan.service, {plan}}})) maps.apply(operation);
  std::erase_if(maps.frontends, [](const auto& item) { return item.second.mode == CF_EDGE_LOCAL_BACKEND; });
  EdgeBook after(maps.adopted());
  for (int round = 0; round < 3; ++round) {
    plan.backends[1].draining = !plan.backends[1].draining;
    for (const auto& operation : after.update({{plan.service, {plan}}})) maps.apply(operation);
    CHECK(maps.frontends.size() == 3);
  }
  for (const auto& operation : after.update({{plan.service, {}}})) maps.apply(operation);
  CHECK(maps.frontends.empty());
  CHECK_FALSE(after.has_local());
}

TEST_CASE("source ranges without room close what is to be limited, and hold no service's other changes up") {
  EdgeBook book;
  Maps maps;
  const auto apply = [&](const EdgePlan& plan) {
    for (const auto& operation : book.update({{plan.service, {plan}}})) maps.apply(operation);
  };
  auto hog = plan_of(1), open = plan_of(1);
  hog.limited = hog.frontends;
  for (unsigned i = 0; i < CF_EDGE_RANGES_MAX; ++i) {
    auto address = v4(static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    address.octets[12] = 77;
    hog.ranges.push_back({address, 32});
  }
  open.service = name_of(1);
  open.frontends[0].first = v4(1, 1);
  apply(hog);
  apply(open);
  REQUIRE(maps.ranges.size() == CF_EDGE_RANGES_MAX);
  hog.backends.push_back({{v4(2, 9), 8080}});
  apply(hog);  // its own ranges are counted once
  CHECK(maps.backends.size() == 3);
  open.limited = open.frontends;
  open.ranges = {{v4(7, 7), 32}};
  apply(open);
  std::size_t limited = 0;
  for (const auto& [key, frontend] : maps.frontends) limited += (frontend.flags & CF_EDGE_LIMITED) != 0 ? 1 : 0;
  CHECK(limited == 2);
  hog.ranges.resize(8);
  apply(hog);  // the other is tried again
  CHECK(maps.ranges.size() == 9);
}

TEST_CASE("source ranges that become narrower where there is no room let in nobody whom the new ones don't name") {
  EdgeBook book;
  Maps maps;
  const auto apply = [&](const EdgePlan& plan) {
    for (const auto& operation : book.update({{plan.service, {plan}}})) maps.apply(operation);
  };
  const auto ranges_of = [](unsigned count, std::uint8_t from) {
    std::vector<model::Cidr> out;
    for (unsigned i = 0; i < count; ++i) {
      auto address = v4(static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
      address.octets[12] = from;
      out.push_back({address, 32});
    }
    return out;
  };
  auto hog = plan_of(1), small = plan_of(1);
  hog.limited = hog.frontends;
  hog.ranges = ranges_of(CF_EDGE_RANGES_MAX - 3, 77);
  small.service = name_of(1);
  small.frontends[0].first = v4(1, 1);
  small.limited = small.frontends;
  small.ranges = ranges_of(3, 7);
  apply(hog);
  apply(small);
  REQUIRE(maps.ranges.size() == CF_EDGE_RANGES_MAX);
  SECTION("none of the new ones has room: what old and new have in common stays") {
    auto changed = ranges_of(5, 8);
    changed.insert(changed.begin(), small.ranges[1]);
    small.ranges = changed;
    apply(small);
    CHECK(maps.ranges.size() == CF_EDGE_RANGES_MAX - 2);
    hog.ranges.resize(8);
    apply(hog);
    CHECK(maps.ranges.size() == 14);
  }
  SECTION("it is something else that has none: they are what they are to be") {
    for (unsigned i = 0; i < CF_EDGE_BACKENDS_MAX; ++i) {
      auto address = v4(static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
      address.octets[12] = 20;
      small.backends.push_back({{address, 8080}, 1});
    }
    small.ranges = ranges_of(2, 9);
    apply(small);
    CHECK(maps.ranges.size() == CF_EDGE_RANGES_MAX - 1);
    CHECK(maps.backends.size() == 2);
  }
  for (const auto* plan : {&hog, &small}) {
    for (const auto& operation : book.update({{plan->service, {}}})) maps.apply(operation);
  }
  CHECK((maps.ranges.empty() && maps.frontends.empty() && maps.backends.empty() && maps.tables.empty()));
}

TEST_CASE("what a writer that was killed left under a service's number is no other service's, and goes") {
  auto left = plan_of(3), next = plan_of(2);
  left.backends[0].local = true;
  left.limited = left.frontends;
  left.ranges = {{v4(7, 0), 24}};
  next.service = name_of(1);
  next.frontends[0].first = v4(1, 1);
  next.limited = next.frontends;
  EdgeBook before;
  Maps maps;
  for (const auto& operation : before.update({{left.service, {left}}})) maps.apply(operation);
  std::erase_if(maps.frontends, [](const auto& item) { return item.second.mode != CF_EDGE_LOCAL_BACKEND; });
  EdgeBook after(maps.adopted());
  for (const auto& operation : after.update({{next.service, {next}}})) maps.apply(operation);
  for (const auto& [key, frontend] : maps.frontends) {
    for (const auto& range : maps.ranges) CHECK(value_of<cf_edge_range>(range).service != frontend.service);
  }
  maps.check_whole();
  for (const auto& operation : after.drop_unclaimed()) maps.apply(operation);
  CHECK((maps.frontends.size() == 1 && maps.backends.size() == 2 && maps.tables.size() == 1 && maps.ranges.empty()));
  CHECK((after.backends() == 2 && after.services() == 1));
  maps.check_whole();
}

TEST_CASE("what an agent before left in the edge's tables is taken over, not written again") {
  auto kept = plan_of(5), gone = plan_of(3);
  kept.backends[1].local = true;
  kept.limited = kept.frontends;
  kept.ranges = {{v4(7, 0), 24}, {v4(7, 7), 32}};
  gone.service = name_of(1);
  gone.frontends[0].first = v4(1, 1);
  EdgeBook before;
  Maps maps;
  const auto apply = [&](const std::vector<EdgeOperation>& operations) {
    for (const auto& operation : operations) {
      maps.apply(operation);
      maps.check_whole();
    }
  };
  apply(before.update({{kept.service, {kept}}, {gone.service, {gone}}}));
  EdgeBook after(maps.adopted());
  CHECK(after.has_local());
  CHECK(after.update({{kept.service, {kept}}}).empty());
  apply(after.drop_unclaimed());
  CHECK(maps.frontends.size() == 2);  // its own, and its backend's on this node
  CHECK(maps.backends.size() == 5);
  CHECK(maps.tables.size() == 1);
  auto changed = kept;
  changed.backends.push_back({{v4(3, 3), 8080}});
  apply(after.update({{kept.service, {changed}}}));  // with a number and an id that nobody has had
  CHECK(maps.backends.size() == 6);
  apply(after.update({{kept.service, {}}}));
  CHECK((maps.backends.empty() && maps.tables.empty() && maps.frontends.empty()));
}

TEST_CASE(
    "what may be missing of a service keeps nothing of the edge's from it, and an address stays with who had it") {
  auto unread = plan_of(5), other = plan_of(3);
  other.service = name_of(1);
  other.frontends[0].first = v4(1, 1);
  EdgeBook before;
  Maps maps;
  const auto apply = [&](const std::vector<EdgeOperation>& operations) {
    for (const auto& operation : operations) {
      maps.apply(operation);
      maps.check_whole();
    }
  };
  apply(before.update({{unread.service, {unread}}, {other.service, {other}}}));
  EdgeBook after(maps.adopted());
  after.hold([&](const model::ObjectName& name) { return name == unread.service; });
  auto poorer = unread;
  poorer.backends.pop_back();
  auto greedy = other;  // wants what the other one has
  greedy.frontends.emplace_back(unread.frontends[0]);
  std::sort(greedy.frontends.begin(), greedy.frontends.end());
  apply(after.update({{unread.service, {poorer}}, {other.service, {greedy}}}));
  CHECK(after.held() == std::set{unread.service});
  apply(after.drop_unclaimed({owner_of(unread.service)}));
  CHECK(maps.backends.size() == 8);
  CHECK(after.unclaimed() == 1);
  CHECK(after.update({{unread.service, {unread}}}).empty());  // as it was: it is nobody's loss to claim it
  CHECK(after.held().empty());
  after.hold({});
  apply(after.update({{unread.service, {poorer}}}));
  CHECK(maps.backends.size() == 7);
  apply(after.update({{unread.service, {}}}));
  CHECK(maps.backends.size() == 3);
  CHECK(maps.frontends.size() == 2);  // both are the other's now
}
