// SPDX-License-Identifier: Apache-2.0
// Authorization: from policies to what the kernel looks up, held against reading the policies one by one.
#include "agent/compile/policy_plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "tests/unit/policy_text.h"

using namespace cortexflow;
using compile::PolicyInput;
using compile::PolicyPlan;
using model::Protocol;
using test::policy;
using test::Policy;

namespace {

std::shared_ptr<const model::Pod> pod(const std::string& ns, const std::string& name, const std::string& account,
                                      const model::Labels& labels, const std::string& address) {
  auto out = std::make_shared<model::Pod>();
  out->name = {ns, name};
  out->service_account = account;
  out->labels = labels;
  out->addresses = {*model::IpAddress::parse(address)};
  return out;
}

struct World {
  PolicyInput input;
  compile::RuleNumbers numbers;
  PolicyPlan plan;

  World(std::vector<Policy> policies, std::vector<std::shared_ptr<const model::Pod>> pods,
        const compile::PolicyLimits& limits = {}) {
    input.policies = std::move(policies);
    input.pods = std::move(pods);
    input.trust_domain = "cluster.local";
    input.hash_key = {1, 2};
    input.limits = limits;
    plan = compile::plan_policies(input, numbers);
  }

  // The verdict on a connection from an address, as the kernel makes it.
  compile::PolicyVerdict decide(const std::string& from, const model::ObjectName& to, std::uint16_t port,
                                Protocol protocol = Protocol::kTcp) const {
    const auto address = *model::IpAddress::parse(from);
    const auto source = plan.addresses.find(address);
    return compile::decide(
        plan, CF_POLICY_IN,
        {plan.pods.at(to), source == plan.addresses.end() ? std::uint64_t{CF_POLICY_ID_WORLD} : source->second, address,
         port, protocol},
        CF_POLICY_UNKNOWN_DENY);
  }
  std::string verdict(const std::string& from, const model::ObjectName& to, std::uint16_t port,
                      Protocol protocol = Protocol::kTcp) const {
    const auto out = decide(from, to, port, protocol);
    return compile::verdict_name(out.verdict) + (out.rule ? " " + numbers.name(out.rule) : "");
  }
};

const model::ObjectName kCalledPod{"shop", "cart-0"};

std::vector<std::shared_ptr<const model::Pod>> shop() {
  return {pod("shop", "cart-0", "cart", {{"app", "cart"}}, "10.0.0.1"),
          pod("shop", "web-0", "web", {{"app", "web"}}, "10.0.0.2"),
          pod("other", "web-0", "web", {{"app", "web"}}, "10.0.0.3")};
}

}  // namespace

TEST_CASE("no policy: everybody may; an ALLOW policy without rules: nobody may, in its namespace alone") {
  CHECK(World({}, shop()).verdict("10.0.0.3", kCalledPod, 80) == "unselected");
  const World world({policy("{}")}, shop());
  CHECK(world.verdict("10.0.0.2", kCalledPod, 80) == "not_allowed");
  CHECK(world.verdict("192.0.2.1", kCalledPod, 80) == "not_allowed");
  CHECK(world.verdict("10.0.0.1", {"other", "web-0"}, 80) == "unselected");
}

TEST_CASE("DENY comes before ALLOW, and what no ALLOW rule matches is refused; the verdict names the rule") {
  const World world(
      {policy("{selector: {matchLabels: {app: cart}}, rules: [{from: [{source: {podLabels: {app: web}}}], to: "
              "[{operation: {ports: [80, 90]}}]}]}",
              "allow-web"),
       policy("{selector: {matchLabels: {app: cart}}, action: DENY, rules: [{to: [{operation: {ports: [90]}}]}]}",
              "no-90")},
      shop());
  CHECK(world.verdict("10.0.0.2", kCalledPod, 80) == "allowed shop/allow-web[0]");
  CHECK(world.verdict("10.0.0.2", kCalledPod, 90) == "denied shop/no-90[0]");
  CHECK(world.verdict("10.0.0.2", kCalledPod, 81) == "not_allowed");
  CHECK(world.verdict("10.0.0.3", kCalledPod, 80) == "not_allowed");
  CHECK(world.verdict("10.0.0.1", {"shop", "web-0"}, 80) == "unselected");
}

TEST_CASE("this machine, other nodes, the world and unmanaged workloads are identities of their own") {
  auto pods = shop();
  pods.push_back(pod("shop", "legacy-0", "web", {{"app", "web"}, {"cortexflow.io/mesh", "disabled"}}, "10.0.0.4"));
  pods.push_back(pod("attic", "box-0", "box", {}, "10.0.0.5"));
  pods.push_back(pod("attic", "clock-0", "clock", {{"cortexflow.io/mesh", "enabled"}}, "10.0.0.6"));
  pods.push_back(pod("shop", "odd-0", "web", {{"cortexflow.io/mesh", "off"}}, "10.0.0.7"));
  const std::map<std::string, std::string> callers{{"host", "10.0.1.1"},    {"node", "10.0.1.2"},
                                                   {"world", "192.0.2.1"},  {"unmanaged", "10.0.0.4"},
                                                   {"managed", "10.0.0.2"}, {"unmanaged by namespace", "10.0.0.5"},
                                                   {"enabled", "10.0.0.6"}};
  const auto world_of = [&](const std::string& source) {
    World world({}, pods);
    const auto node = [](const char* name, std::vector<model::IpAddress> addresses) {
      return std::make_shared<const model::Node>(model::Node{name, std::move(addresses)});
    };
    const auto address = [](const char* text) { return *model::IpAddress::parse(text); };
    world.input.policies = {policy("{rules: [{from: [{source: " + source + "}]}]}"), policy("{}", "closed", "attic")};
    world.input.namespaces = {{"attic", {{"cortexflow.io/mesh", "disabled"}}}};
    world.input.node_addresses = {address("10.0.1.1")};
    world.input.nodes = {node("here", {address("10.0.1.1")}), node("there", {address("10.0.1.2"), address("fd00::2")})};
    world.plan = compile::plan_policies(world.input, world.numbers);
    return world;
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"{entities: [host]}", {"host"}},
      {"{entities: [node]}", {"node"}},
      {"{entities: [world]}", {"world"}},
      {"{entities: [unmanaged]}", {"unmanaged", "unmanaged by namespace"}},
      {"{entities: [host, world]}", {"host", "world"}},
      {"{namespaces: [shop, attic]}", {"managed", "enabled"}},
      {"{serviceAccounts: [web]}", {"managed"}},
      {"{podLabels: {app: web}}", {"managed"}},
      {"{principals: [\"spiffe://*/ns/*/sa/*\"]}", {"managed", "enabled"}},
      {"{ipBlocks: [10.0.0.0/16]}", {"host", "node", "unmanaged", "managed", "unmanaged by namespace", "enabled"}}};
  for (const auto& [source, allowed] : cases) {
    const auto world = world_of(source);
    for (const auto& [name, address] : callers) {
      INFO(source << " " << name);
      const bool in = std::find(allowed.begin(), allowed.end(), name) != allowed.end();
      CHECK(world.verdict(address, kCalledPod, 80) == (in ? "allowed shop/p[0]" : "not_allowed"));
    }
  }
  const auto world = world_of("{entities: [world]}");
  CHECK(world.verdict("192.0.2.1", {"shop", "legacy-0"}, 80) == "unselected");
  CHECK(world.verdict("192.0.2.1", {"attic", "box-0"}, 80) == "unselected");
  CHECK(world.verdict("192.0.2.1", {"attic", "clock-0"}, 80) == "not_allowed");
  CHECK(world.plan.addresses.at(*model::IpAddress::parse("fd00::2")) == CF_POLICY_ID_NODE);
  CHECK(world.plan.identities.at(world.plan.pods.at({"shop", "legacy-0"})).to_string() == "shop/web unmanaged");
  REQUIRE(world.plan.refusals.size() == 1);
  CHECK(world.plan.refusals[0] ==
        "Pod shop/odd-0: the label cortexflow.io/mesh is off: expected enabled or disabled; it counts as enabled");
}

TEST_CASE("a namespace whose AuthorizationPolicies can't be read is closed, but its unmanaged workloads") {
  auto pods = shop();
  pods.push_back(pod("shop", "legacy-0", "web", {{"cortexflow.io/mesh", "disabled"}}, "10.0.0.4"));
  World world({}, pods);
  world.input.closed_namespaces[CF_POLICY_IN] = {"shop"};
  world.plan = compile::plan_policies(world.input, world.numbers);
  CHECK(world.verdict("10.0.0.3", kCalledPod, 80) == "closed");
  CHECK(world.verdict("10.0.0.3", {"shop", "legacy-0"}, 80) == "unselected");
  world.input.network_closed_namespaces = {"shop"};
  world.plan = compile::plan_policies(world.input, world.numbers);
  CHECK(world.verdict("10.0.0.3", {"shop", "legacy-0"}, 80) == "closed");
}

TEST_CASE(
    "whether a workload is managed is not known where its namespace can't be read: DENY means it, ALLOW does not") {
  auto pods = shop();
  pods.push_back(pod("attic", "box-0", "box", {}, "10.0.0.5"));
  pods.push_back(pod("attic", "clock-0", "clock", {{"cortexflow.io/mesh", "enabled"}}, "10.0.0.6"));
  const auto verdicts = [&](const std::string& action, const std::string& source) {
    World world({policy("{action: " + action + ", rules: [{from: [{source: " + source + "}]}]}"),
                 policy("{}", "closed", "attic")},
                pods);
    world.input.unread_namespaces = {"attic"};
    world.plan = compile::plan_policies(world.input, world.numbers);
    CHECK(world.verdict("192.0.2.1", {"attic", "box-0"}, 80) == "not_allowed");
    return std::pair(world.verdict("10.0.0.5", kCalledPod, 80), world.verdict("10.0.0.6", kCalledPod, 80));
  };
  const std::string unmanaged = "{entities: [unmanaged]}", by_name = "{namespaces: [attic]}";
  CHECK(verdicts("DENY", unmanaged) == std::pair<std::string, std::string>("denied shop/p[0]", "not_denied"));
  CHECK(verdicts("DENY", by_name) == std::pair<std::string, std::string>("denied shop/p[0]", "denied shop/p[0]"));
  CHECK(verdicts("ALLOW", unmanaged) == std::pair<std::string, std::string>("not_allowed", "not_allowed"));
  CHECK(verdicts("ALLOW", by_name) == std::pair<std::string, std::string>("not_allowed", "allowed shop/p[0]"));
}

TEST_CASE("audit mode refuses nothing and says what it would refuse") {
  const World world({policy("{mode: audit}", "everybody-out"),
                     policy("{action: DENY, mode: audit, rules: [{to: [{operation: {ports: [90]}}]}]}", "no-90"),
                     policy("{action: AUDIT, rules: [{to: [{operation: {ports: [91]}}]}]}", "watch-91")},
                    shop());
  CHECK(world.verdict("10.0.0.2", kCalledPod, 80) == "would_not_allow");
  CHECK(world.verdict("10.0.0.2", kCalledPod, 90) == "would_deny shop/no-90[0]");
  CHECK(world.numbers.name(world.decide("10.0.0.2", kCalledPod, 91).audited) == "shop/watch-91[0]");
}

TEST_CASE("CIDRs inside each other all count, and no IPv4 address is in a prefix of IPv6") {
  const World world({policy("{rules: [{from: [{source: {ipBlocks: [198.51.100.0/24, \"::/0\"]}}]}]}", "near"),
                     policy("{action: DENY, rules: [{from: [{source: {ipBlocks: [198.51.0.0/16]}}], to: [{operation: "
                            "{ports: [22]}}]}]}",
                            "no-22"),
                     policy("{action: DENY, rules: [{from: [{source: {ipBlocks: [198.51.100.7]}}]}]}", "not-7")},
                    shop());
  CHECK(world.verdict("198.51.100.1", kCalledPod, 80) == "allowed shop/near[0]");
  CHECK(world.verdict("198.51.100.1", kCalledPod, 22) == "denied shop/no-22[0]");
  CHECK(world.verdict("198.51.100.7", kCalledPod, 80) == "denied shop/not-7[0]");
  CHECK(world.verdict("198.51.101.1", kCalledPod, 80) == "not_allowed");
  CHECK(world.verdict("192.0.2.1", kCalledPod, 80) == "not_allowed");
  CHECK(world.verdict("2001:db8::1", kCalledPod, 80) == "allowed shop/near[0]");
}

TEST_CASE("direction egress: rules are about whom the selected workload calls, its callers are not asked") {
  const World world(
      {policy("{direction: egress, selector: {matchLabels: {app: web}}, rules: [{to: [{destination: {podLabels: {app: "
              "cart}}, operation: {ports: [80]}}, {destination: {ipBlocks: [192.0.2.0/24]}}, {operation: {ports: "
              "[53], protocols: [UDP]}}]}]}",
              "web-calls"),
       policy("{direction: egress, selector: {matchLabels: {app: web}}, action: DENY, rules: [{to: [{destination: "
              "{ipBlocks: [192.0.2.9]}}]}]}",
              "not-9")},
      shop());
  const auto calls = [&](const std::string& to, std::uint16_t port, Protocol protocol = Protocol::kTcp) {
    const auto address = *model::IpAddress::parse(to);
    const auto peer = world.plan.addresses.find(address);
    const auto out =
        compile::decide(world.plan, CF_POLICY_OUT,
                        {world.plan.pods.at({"shop", "web-0"}),
                         peer == world.plan.addresses.end() ? std::uint64_t{CF_POLICY_ID_WORLD} : peer->second, address,
                         port, protocol},
                        CF_POLICY_UNKNOWN_DENY);
    return compile::verdict_name(out.verdict) + (out.rule ? " " + world.numbers.name(out.rule) : "");
  };
  CHECK(calls("10.0.0.1", 80) == "allowed shop/web-calls[0]");
  CHECK(calls("10.0.0.1", 81) == "not_allowed");
  CHECK(calls("10.0.0.3", 80) == "not_allowed");
  CHECK(calls("10.0.0.3", 53, Protocol::kUdp) == "allowed shop/web-calls[0]");
  CHECK(calls("192.0.2.1", 4711) == "allowed shop/web-calls[0]");
  CHECK(calls("192.0.2.9", 4711) == "denied shop/not-9[0]");
  CHECK(world.verdict("10.0.0.1", {"shop", "web-0"}, 80) == "unselected");
  CHECK(world.verdict("10.0.0.2", kCalledPod, 80) == "unselected");
}

TEST_CASE("an address of two workloads, one of them selected, is closed; of two that aren't it stays open") {
  auto pods = shop();
  pods.push_back(pod("other", "twin", "twin", {}, "10.0.0.1"));
  pods.push_back(pod("other", "third", "third", {}, "10.0.0.3"));
  const World world({policy("{selector: {matchLabels: {app: cart}}, rules: [{}]}")}, pods);
  CHECK(world.plan.addresses.at(*model::IpAddress::parse("10.0.0.1")) == CF_POLICY_ID_CLOSED);
  CHECK(world.plan.addresses.at(*model::IpAddress::parse("10.0.0.3")) == CF_POLICY_ID_AMBIGUOUS);
  CHECK(world.verdict("10.0.0.1", kCalledPod, 80) == "closed");
  const auto& sides = world.plan.targets.at(CF_POLICY_ID_CLOSED);
  CHECK((sides[CF_POLICY_IN].flags == CF_POLICY_CLOSED && sides[CF_POLICY_OUT].flags == CF_POLICY_CLOSED));
}

TEST_CASE("who has an address that may be a refused workload's is refused, and not allowed what one of them is") {
  auto pods = shop();
  pods.push_back(pod("evil", "twin", "twin", {}, "10.0.0.3"));
  const auto of = [&](const char* action, const char* ns) {
    return World(
        {policy(fmt::format("{{selector: {{matchLabels: {{app: cart}}}}, action: {}, rules: [{{from: [{{source: "
                            "{{namespaces: [{}]}}}}]}}]}}",
                            action, ns))},
        pods);
  };
  for (const char* ns : {"evil", "other"}) {
    CHECK(of("DENY", ns).verdict("10.0.0.3", kCalledPod, 80) == "denied shop/p[0]");
    CHECK(of("ALLOW", ns).verdict("10.0.0.3", kCalledPod, 80) == "not_allowed");
  }
  CHECK(of("DENY", "shop").verdict("10.0.0.3", kCalledPod, 80) == "not_denied");
}

TEST_CASE("workloads for whose targets or addresses there is no room are closed, and the machine's addresses stay") {
  const World few({policy("{rules: [{}]}")}, shop(), {10, 10, 2, 10});
  CHECK(few.plan.targets.size() == 2);
  const auto web = few.plan.pods.at({"shop", "web-0"}), cart = few.plan.pods.at(kCalledPod);
  CHECK((web == CF_POLICY_ID_CLOSED) != (cart == CF_POLICY_ID_CLOSED));
  CHECK(few.verdict("10.0.0.1", {"shop", "web-0"}, 80) == "closed");
  CHECK(few.verdict("10.0.0.2", kCalledPod, 80) == "closed");
  CHECK(few.plan.addresses.at(*model::IpAddress::parse("10.0.0.2")) == web);

  PolicyInput input;
  input.policies = {policy("{rules: [{}]}")};
  input.pods = shop();
  input.node_addresses = {*model::IpAddress::parse("10.9.0.1")};
  input.limits.addresses = 2;
  compile::RuleNumbers numbers;
  const auto full = compile::plan_policies(input, numbers);
  CHECK((full.addresses_full && full.addresses.size() == 2));
  CHECK(full.addresses.contains(input.node_addresses[0]));
  CHECK(full.targets.contains(CF_POLICY_ID_CLOSED));
  CHECK_THAT(full.refusals.at(0), Catch::Contains("3 addresses") || Catch::Contains("4 addresses"));
}

TEST_CASE("what there is no room for is refused in words, and closes the workload") {
  const World world({policy("{rules: [{to: [{operation: {ports: [80]}}]}]}")}, shop(), {1, 1, 10, 10});
  CHECK(world.verdict("10.0.0.2", kCalledPod, 80) == "closed");
  REQUIRE(!world.plan.refusals.empty());
  CHECK_THAT(world.plan.refusals[0], Catch::Contains("no room") && Catch::Contains("nobody may reach it"));
}

TEST_CASE("an address of two identities is nobody's, and a pod of the host's network has none of its own") {
  auto pods = shop();
  pods.push_back(pod("shop", "thief", "thief", {}, "10.0.0.2"));
  auto host = std::make_shared<model::Pod>(*pod("shop", "node-exporter", "web", {{"app", "web"}}, "10.0.0.9"));
  host->host_network = true;
  pods.push_back(host);
  const World world({policy("{rules: [{from: [{source: {serviceAccounts: [web]}}]}]}")}, pods);
  CHECK(world.verdict("10.0.0.2", kCalledPod, 80) == "closed");
  CHECK(world.verdict("10.0.0.9", kCalledPod, 80) == "not_allowed");
  REQUIRE(world.plan.refusals.size() == 1);
  CHECK_THAT(world.plan.refusals[0], Catch::Contains("Pod shop/thief") && Catch::Contains("shop/web-0"));
}

TEST_CASE("a hash is SipHash-2-4's, so that a number is the same whichever agent makes it") {
  // The reference's vector for the octets 00 to 0e under the key 00 to 0f.
  std::string text;
  for (char c = 0; c < 15; ++c) text += c;
  CHECK(compile::siphash({0x0706050403020100, 0x0f0e0d0c0b0a0908}, text) == 0xa129ca6149be45e5);
}

// The policies read one by one, as their documents say: what plan and lookups have to agree with.
namespace {

bool naive_source(const model::PolicySource& source, const model::Pod* from, const model::IpAddress& address) {
  if (!source.ip_blocks.empty()) {
    return std::any_of(source.ip_blocks.begin(), source.ip_blocks.end(),
                       [&](const auto& block) { return block.covers(address); });
  }
  if (!from) return false;
  const auto in = [](const auto& list, const auto& value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  for (const auto& [key, value] : source.pod_labels) {
    const auto has = from->labels.find(key);
    if (has == from->labels.end() || has->second != value) return false;
  }
  return in(source.namespaces, from->name.ns) &&
         in(source.service_accounts, model::ObjectName{from->name.ns, from->service_account}) &&
         (source.principals.empty() ||
          std::any_of(source.principals.begin(), source.principals.end(), [&](const auto& one) {
            return one.trust_domain == "cluster.local" && (one.ns == "*" || one.ns == from->name.ns) &&
                   (one.service_account == "*" || one.service_account == from->service_account);
          }));
}

bool naive_rule(const model::PolicyRule& rule, const model::Pod* from, const model::IpAddress& address,
                std::uint16_t port, Protocol protocol) {
  const bool source = rule.from.empty() || std::any_of(rule.from.begin(), rule.from.end(), [&](const auto& one) {
                        return naive_source(one, from, address);
                      });
  const bool operation = rule.to.empty() || std::any_of(rule.to.begin(), rule.to.end(), [&](const auto& one) {
                           const auto has = [](const auto& list, auto value) {
                             return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
                           };
                           return has(one.ports, port) && has(one.protocols, protocol);
                         });
  return source && operation;
}

std::string naive_verdict(const PolicyInput& input, const model::Pod* from, const model::IpAddress& address,
                          const model::Pod& to, std::uint16_t port, Protocol protocol) {
  bool selected = false, allow = false, dry_allow = false, allowed = false, dry_allowed = false, denied = false,
       dry_denied = false;
  for (const auto& one : input.policies) {
    if (one->name.ns != to.name.ns) continue;
    bool labels = true;
    for (const auto& [key, value] : one->selector)
      labels = labels && to.labels.contains(key) && to.labels.at(key) == value;
    if (!labels) continue;
    selected = true;
    const bool hit = std::any_of(one->rules.begin(), one->rules.end(),
                                 [&](const auto& rule) { return naive_rule(rule, from, address, port, protocol); });
    if (one->action == model::PolicyAction::kAllow) {
      (one->audit ? dry_allow : allow) = true;
      if (hit) (one->audit ? dry_allowed : allowed) = true;
    } else if (one->action == model::PolicyAction::kDeny && hit) {
      (one->audit ? dry_denied : denied) = true;
    }
  }
  if (!selected) return "unselected";
  if (denied) return "denied";
  if (allow && !allowed) return "not_allowed";
  if (dry_denied) return "would_deny";
  if (dry_allow && !allowed && !dry_allowed) return "would_not_allow";
  return allowed ? "allowed" : "not_denied";
}

}  // namespace

TEST_CASE("whatever the policies are, the lookups decide as reading them one by one does") {
  std::mt19937 random(20);
  const auto pick = [&](std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random); };
  const std::vector<std::string> spaces{"a", "b"}, accounts{"x", "y"}, apps{"p", "q", "r"};
  const std::vector<std::string> addresses{"10.0.0.1", "10.0.0.9",    "10.0.1.1",
                                           "10.1.0.1", "2001:db8::1", "2001:db9::1"};
  const std::vector<std::string> cidrs{"10.0.0.0/24", "10.0.0.0/8",    "10.0.0.9/32", "0.0.0.0/0",
                                       "::/0",        "2001:db8::/32", "10.0.0.8/29", "::/80"};
  std::size_t seen = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::shared_ptr<const model::Pod>> pods;
    for (int i = 0; i < 8; ++i) {
      pods.push_back(pod(spaces[pick(2)], fmt::format("pod{}", i), accounts[pick(2)],
                         {{"app", apps[pick(3)]}, {"unused", std::to_string(i)}}, fmt::format("10.0.{}.{}", i, i + 1)));
    }
    std::vector<Policy> policies;
    for (std::size_t i = 0, count = pick(5); i < count; ++i) {
      auto made = std::make_shared<model::AuthorizationPolicy>();
      made->name = {spaces[pick(2)], fmt::format("policy{}", i)};
      if (pick(2)) made->selector = {{"app", apps[pick(3)]}};
      made->action = static_cast<model::PolicyAction>(pick(3));
      made->audit = pick(3) == 0;
      for (std::size_t r = 0, rules = pick(4); r < rules; ++r) {
        model::PolicyRule rule;
        for (std::size_t s = 0, sources = pick(3); s < sources; ++s) {
          model::PolicySource source;
          const auto kind = pick(5);
          if (kind == 0)
            source.principals = {{pick(4) ? "cluster.local" : "else", pick(2) ? "*" : "a", pick(2) ? "*" : "x"}};
          if (kind == 1 || pick(3) == 0) source.namespaces = {spaces[pick(2)]};
          if (kind == 2) source.service_accounts = {{spaces[pick(2)], accounts[pick(2)]}};
          if (kind == 3) source.pod_labels = {{"app", apps[pick(3)]}};
          if (kind == 4) {
            source = {};
            for (std::size_t c = 0; c <= pick(3); ++c) {
              const auto& text = cidrs[pick(cidrs.size())];
              const auto slash = text.find('/');
              source.ip_blocks.push_back({*model::IpAddress::parse(text.substr(0, slash)),
                                          static_cast<std::uint8_t>(std::stoi(text.substr(slash + 1)))});
            }
          }
          rule.from.push_back(source);
        }
        for (std::size_t o = 0, operations = pick(2); o < operations; ++o) {
          model::PolicyOperation operation;
          if (pick(2)) operation.ports = {static_cast<std::uint16_t>(80 + pick(2))};
          if (pick(2) || operation.ports.empty()) operation.protocols = {pick(2) ? Protocol::kTcp : Protocol::kUdp};
          rule.to.push_back(operation);
        }
        made->rules.push_back(rule);
      }
      policies.push_back(made);
    }
    const World world(policies, pods);
    for (int ask = 0; ask < 60; ++ask) {
      const auto& to = pods[pick(pods.size())];
      const model::Pod* from = pick(2) ? pods[pick(pods.size())].get() : nullptr;
      const auto address = from ? from->addresses[0] : *model::IpAddress::parse(addresses[pick(addresses.size())]);
      for (const auto& one : pods) {
        if (one->addresses[0] == address) from = one.get();
      }
      const auto port = static_cast<std::uint16_t>(80 + pick(3));
      const auto protocol = pick(2) ? Protocol::kTcp : Protocol::kUdp;
      const auto decided = world.decide(address.to_string(), to->name, port, protocol);
      const auto wanted = naive_verdict(world.input, from, address, *to, port, protocol);
      INFO("round " << round << ", " << address.to_string() << " to " << to->name.ns << "/" << to->name.name << ":"
                    << port);
      REQUIRE(compile::verdict_name(decided.verdict) == wanted);
      seen |= std::size_t{1} << decided.verdict;
    }
  }
  CHECK(seen == (1U << CF_POLICY_V_UNSELECTED | 1U << CF_POLICY_V_ALLOWED | 1U << CF_POLICY_V_NOT_DENIED |
                 1U << CF_POLICY_V_WOULD_DENY | 1U << CF_POLICY_V_WOULD_NOT_ALLOW | 1U << CF_POLICY_V_DENIED |
                 1U << CF_POLICY_V_NOT_ALLOWED));
}
