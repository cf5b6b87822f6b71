// SPDX-License-Identifier: Apache-2.0
// NetworkPolicy: from documents to what the kernel looks up, held against reading the policies one by one.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "agent/compile/policy_plan.h"
#include "agent/source/manifest/document_reader.h"

using namespace cortexflow;
using compile::PolicyConnection;
using model::LabelOperator;
using model::Protocol;

namespace {

using NetPolicy = std::shared_ptr<const model::NetworkPolicy>;

source::ReadDocument read_net(const std::string& spec, const std::string& name) {
  return source::read_document(
      fmt::format("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {}, namespace: shop}}\n"
                  "spec: {}\n",
                  name, spec));
}

NetPolicy net(const std::string& spec, const std::string& name = "p") {
  const auto read = read_net(spec, name);
  INFO(spec << (read.refused.empty() ? "" : read.refused[0].problem.reason));
  REQUIRE(read.objects.size() == 1);
  return std::get<NetPolicy>(read.objects[0].object);
}

std::string net_refusal(const std::string& spec) {
  const auto read = read_net(spec, "p");
  if (read.refused.empty()) return "";
  return fmt::format("{}: {}", read.refused[0].problem.field, read.refused[0].problem.reason);
}

using NetPod = std::shared_ptr<const model::Pod>;

NetPod net_pod(const std::string& ns, const std::string& name, const model::Labels& labels, const std::string& address,
               std::vector<model::PodPort> ports = {}) {
  auto out = std::make_shared<model::Pod>();
  out->name = {ns, name};
  out->labels = labels;
  out->addresses = {*model::IpAddress::parse(address)};
  out->ports = std::move(ports);
  return out;
}

struct NetWorld {
  compile::PolicyInput input;
  compile::RuleNumbers numbers;
  compile::PolicyPlan plan;

  NetWorld(std::vector<NetPolicy> policies, std::vector<NetPod> pods) {
    input.network_policies = std::move(policies);
    input.pods = std::move(pods);
    input.trust_domain = "cluster.local";
    input.hash_key = {1, 2};
    input.namespaces = {{"shop", {{"kubernetes.io/metadata.name", "shop"}, {"team", "a"}}},
                        {"other", {{"kubernetes.io/metadata.name", "other"}, {"team", "b"}}}};
    input.node_addresses = {*model::IpAddress::parse("192.0.2.100")};
    make();
  }
  void make() { plan = compile::plan_policies(input, numbers); }

  compile::PolicyVerdict decide(cf_policy_direction direction, const model::ObjectName& workload,
                                const std::string& peer, std::uint16_t port, Protocol protocol = Protocol::kTcp) const {
    const auto address = *model::IpAddress::parse(peer);
    const auto known = plan.addresses.find(address);
    return compile::decide(
        plan, direction,
        {plan.pods.at(workload), known == plan.addresses.end() ? std::uint64_t{CF_POLICY_ID_WORLD} : known->second,
         address, port, protocol},
        CF_POLICY_UNKNOWN_DENY);
  }
  // "allowed NetworkPolicy shop/p ingress[0]"
  std::string in(const std::string& from, std::uint16_t port, Protocol protocol = Protocol::kTcp) const {
    return words(decide(CF_POLICY_IN, {"shop", "cart"}, from, port, protocol));
  }
  std::string out(const std::string& to, std::uint16_t port, Protocol protocol = Protocol::kTcp) const {
    return words(decide(CF_POLICY_OUT, {"shop", "cart"}, to, port, protocol));
  }
  std::string words(const compile::PolicyVerdict& made) const {
    return compile::verdict_name(made.verdict) + (made.rule ? " " + numbers.name(made.rule) : "");
  }
};

const std::string kWeb = "10.0.0.2", kOtherWeb = "10.0.0.3", kDb = "10.0.0.4", kWorld = "198.51.100.7",
                  kNode = "192.0.2.100";

std::vector<NetPod> net_shop() {
  return {net_pod("shop", "cart", {{"app", "cart"}}, "10.0.0.1",
                  {{"dns", Protocol::kUdp, 5353}, {"http", Protocol::kTcp, 8080}}),
          net_pod("shop", "web", {{"app", "web"}, {"tier", "front"}}, kWeb),
          net_pod("other", "web", {{"app", "web"}}, kOtherWeb),
          net_pod("other", "db", {{"app", "db"}}, kDb, {{"sql", Protocol::kTcp, 5432}})};
}

}  // namespace

TEST_CASE("a NetworkPolicy's document has the API server's defaults") {
  const auto read = net(R"({podSelector: {matchLabels: {app: cart}, matchExpressions: [
      {key: tier, operator: NotIn, values: [front, back]}, {key: old, operator: DoesNotExist}]},
    ingress: [{from: [{podSelector: {}, namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}},
                      {ipBlock: {cidr: 10.1.2.3/8, except: [10.9.0.0/16]}}],
               ports: [{port: 80}, {protocol: UDP, port: 100, endPort: 200}, {port: http}, {protocol: SCTP}]}]})");
  CHECK(read->selector.expressions ==
        std::vector<model::LabelRequirement>{{"tier", LabelOperator::kNotIn, {"front", "back"}},
                                             {"old", LabelOperator::kDoesNotExist, {}}});
  REQUIRE((read->ingress && read->ingress->size() == 1));
  CHECK(!read->egress);
  const auto& rule = read->ingress->front();
  CHECK((rule.peers[0].pods == model::LabelSelector{} && rule.peers[0].namespaces && !rule.peers[0].block));
  CHECK(rule.peers[1].block->to_string() == "10.0.0.0/8");
  CHECK(rule.ports == std::vector<model::NetworkPort>{{Protocol::kTcp, 80, 80, ""},
                                                      {Protocol::kUdp, 100, 200, ""},
                                                      {Protocol::kTcp, 0, 0, "http"},
                                                      {Protocol::kSctp, 0, 0, ""}});
  const auto types = [](const std::string& spec) {
    const auto policy = net(spec);
    return std::string(policy->ingress ? "in" : "") + (policy->egress ? "out" : "");
  };
  CHECK(types("{podSelector: {}}") == "in");
  CHECK(types("{podSelector: {}, egress: []}") == "in");
  CHECK(types("{podSelector: {}, egress: [{}]}") == "inout");
  CHECK(types("{podSelector: {}, policyTypes: []}") == "in");
  CHECK(types("{podSelector: {}, policyTypes: [Egress]}") == "out");
  CHECK(types("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}") == "out");
  CHECK(types("{podSelector: {}, policyTypes: [Ingress, Egress]}") == "inout");
}

TEST_CASE("what a NetworkPolicy can't mean is refused with its field") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"{podselector: {}}", "spec.podselector: unknown field"},
      {"{policyTypes: [In]}", "spec.policyTypes[0]: expected one of Ingress, Egress"},
      {"{ingress: [{to: []}]}", "spec.ingress[0].to: unknown field"},
      {"{ingress: [{from: [{}]}]}", "spec.ingress[0].from[0]: expected podSelector, namespaceSelector or ipBlock"},
      {"{ingress: [{from: [null]}]}", "spec.ingress[0].from[0]: expected podSelector, namespaceSelector or ipBlock"},
      {"{ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}", "spec.ingress[0].from[0].ipBlock: "},
      {"{ingress: [{from: [{ipBlock: {cidr: ten}}]}]}", "spec.ingress[0].from[0].ipBlock.cidr: "},
      {"{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}",
       "spec.ingress[0].from[0].ipBlock.except[0]: expected a part of 10.0.0.0/8"},
      {"{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
       "spec.ingress[0].from[0].ipBlock.except[0]: "},
      {"{ingress: [{ports: [{port: 0}]}]}", "spec.ingress[0].ports[0].port: "},
      {"{ingress: [{ports: [{port: HTTP!}]}]}", "spec.ingress[0].ports[0].port: expected a port, or a port's name"},
      {"{ingress: [{ports: [{endPort: 90}]}]}", "spec.ingress[0].ports[0].endPort: expected endPort with a port"},
      {"{ingress: [{ports: [{port: 90, endPort: 80}]}]}", "spec.ingress[0].ports[0].endPort: "},
      {"{ingress: [{ports: [{protocol: ICMP}]}]}", "spec.ingress[0].ports[0].protocol: "},
      {"{podSelector: {matchExpressions: [{key: a, operator: In}]}}",
       "spec.podSelector.matchExpressions[0].values: expected at least one value"},
      {"{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
       "spec.podSelector.matchExpressions[0].values: expected no values"},
      {"{podSelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}}",
       "spec.podSelector.matchExpressions[0].operator: "},
  };
  for (const auto& [spec, words] : cases) {
    INFO(spec);
    CHECK_THAT(net_refusal(spec), Catch::StartsWith(words));
  }
}

TEST_CASE("an empty NetworkPolicy isolates for what comes in; the node and what goes out are not concerned") {
  const NetWorld world({net("{podSelector: {}}")}, net_shop());
  CHECK(world.in(kWeb, 80) == "not_in_network");
  CHECK(world.in(kWorld, 80) == "not_in_network");
  CHECK(world.in(kNode, 80) == "node");
  CHECK(world.out(kWeb, 80) == "unselected");
  CHECK(world.words(world.decide(CF_POLICY_IN, {"other", "db"}, kWeb, 80)) == "unselected");
  const NetWorld both({net("{podSelector: {}, policyTypes: [Egress]}")}, net_shop());
  CHECK(both.in(kWeb, 80) == "unselected");
  CHECK(both.out(kWeb, 80) == "not_in_network");
  CHECK(both.out(kNode, 80) == "node");
}

TEST_CASE("peers: pods of the policy's namespace, pods of namespaces, both, everybody") {
  const auto verdicts = [](const std::string& from) {
    const NetWorld world({net(fmt::format("{{podSelector: {{matchLabels: {{app: cart}}}}, ingress: [{{{}}}]}}", from))},
                         net_shop());
    std::string out;
    for (const auto& peer : {kWeb, kOtherWeb, kDb, kWorld})
      out += world.in(peer, 80).starts_with("allowed") ? "y" : "n";
    return out;
  };
  CHECK(verdicts("") == "yyyy");
  CHECK(verdicts("from: []") == "yyyy");
  CHECK(verdicts("from: [{podSelector: {}}]") == "ynnn");
  CHECK(verdicts("from: [{podSelector: {matchLabels: {app: web}}}]") == "ynnn");
  CHECK(verdicts("from: [{namespaceSelector: {}}]") == "yyyn");
  CHECK(verdicts("from: [{namespaceSelector: {matchLabels: {team: b}}}]") == "nyyn");
  CHECK(verdicts("from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}]") == "nyyn");
  CHECK(verdicts("from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: web}}}]") ==
        "nynn");
  CHECK(verdicts("from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: web}}}]") ==
        "yyyn");
  CHECK(verdicts("from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}}]") ==
        "nyyn");
  CHECK(verdicts("from: [{podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}, namespaceSelector: "
                 "{}}]") == "nyyn");
  CHECK(verdicts("from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.3/32]}}]") == "ynyn");
  CHECK(verdicts("from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}, {ipBlock: {cidr: 10.0.0.4/32}}]") ==
        "nnyy");
}

TEST_CASE("a namespace whose object can't be read is in no selector, also not in one that speaks of labels it lacks") {
  NetWorld world({net("{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: secret, "
                      "operator: DoesNotExist}]}}]}]}")},
                 net_shop());
  CHECK(world.in(kDb, 80) == "allowed NetworkPolicy shop/p ingress[0]");
  world.input.namespaces.erase("other");
  world.make();
  CHECK(world.in(kDb, 80) == "allowed NetworkPolicy shop/p ingress[0]");
  world.input.unread_namespaces = {"other"};
  world.make();
  CHECK(world.in(kDb, 80) == "not_in_network");
}

TEST_CASE("ports: numbers, ranges, protocols, names as the called pod has them") {
  const NetWorld world(
      {net("{podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP}, {port: 100, endPort: 200}, "
           "{port: http}]}], egress: [{to: [{namespaceSelector: {}}], ports: [{port: sql}]}]}")},
      net_shop());
  for (const auto port : std::vector<std::uint16_t>{80, 100, 150, 200, 8080})
    CHECK_THAT(world.in(kWeb, port), Catch::StartsWith("allowed"));
  for (const auto port : std::vector<std::uint16_t>{79, 99, 201, 8081}) CHECK(world.in(kWeb, port) == "not_in_network");
  CHECK_THAT(world.in(kWeb, 9999, Protocol::kUdp), Catch::StartsWith("allowed"));
  CHECK_THAT(world.out(kDb, 5432), Catch::StartsWith("allowed"));
  CHECK(world.out(kDb, 5432, Protocol::kUdp) == "not_in_network");
  CHECK(world.out(kWeb, 5432) == "not_in_network");
  CHECK(world.plan.refusals.empty());
  const NetWorld all({net("{podSelector: {}, ingress: [{ports: [{port: 1, endPort: 65535}]}]}")}, net_shop());
  CHECK_THAT(all.in(kWeb, 7), Catch::StartsWith("allowed"));
  CHECK(all.in(kWeb, 7, Protocol::kUdp) == "not_in_network");
}

TEST_CASE("a range of too many ports closes its direction, and SCTP opens nothing; both are said in words") {
  const NetWorld world({net("{podSelector: {}, ingress: [{ports: [{port: 1024, endPort: 9999}]}, {}], egress: [{}]}")},
                       net_shop());
  CHECK(world.in(kWeb, 2000) == "closed");
  CHECK(world.in(kNode, 2000) == "node");
  CHECK_THAT(world.out(kWeb, 2000), Catch::StartsWith("allowed"));
  REQUIRE(world.plan.refusals.size() == 1);
  CHECK_THAT(world.plan.refusals[0], Catch::StartsWith("NetworkPolicy shop/p: spec.ingress[0].ports[0]: 1024 to 9999 "
                                                       "are 8976 ports") &&
                                         Catch::Contains("nobody may reach"));
  const NetWorld sctp({net("{podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 80}]}]}")}, net_shop());
  CHECK(sctp.in(kWeb, 80) == "not_in_network");
  REQUIRE(sctp.plan.refusals.size() == 1);
  CHECK_THAT(sctp.plan.refusals[0], Catch::Contains("SCTP is not looked at"));
}

TEST_CASE("a namespace with a NetworkPolicy that can't be read is closed both ways, but for the node") {
  NetWorld world({net("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")}, net_shop());
  CHECK_THAT(world.in(kWeb, 80), Catch::StartsWith("allowed"));
  world.input.network_closed_namespaces = {"shop"};
  world.make();
  CHECK(world.in(kWeb, 80) == "closed");
  CHECK(world.out(kWeb, 80) == "closed");
  CHECK(world.in(kNode, 80) == "node");
  CHECK(world.words(world.decide(CF_POLICY_IN, {"other", "db"}, kWeb, 80)) == "unselected");
}

TEST_CASE("a NetworkPolicy and an AuthorizationPolicy both have to let a caller in") {
  NetWorld world({net("{podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 81}]}]}")},
                 net_shop());
  auto authorization = std::make_shared<model::AuthorizationPolicy>();
  authorization->name = {"shop", "p"};
  authorization->rules = {{{}, {{{80, 82}, {}, {}}}}};
  world.input.policies = {authorization};
  world.make();
  CHECK(world.in(kWeb, 80) == "allowed shop/p[0]");
  const auto both = world.decide(CF_POLICY_IN, {"shop", "cart"}, kWeb, 80);
  CHECK(world.numbers.name(both.network_rule) == "NetworkPolicy shop/p ingress[0]");
  CHECK(world.in(kWeb, 81) == "not_allowed");
  CHECK(world.in(kWeb, 82) == "not_in_network");
  CHECK(world.in(kNode, 82) == "allowed shop/p[0]");
  CHECK(world.in(kNode, 81) == "not_allowed");
}

// The policies read one by one, as the API's documentation says.
namespace {

bool naive_labels(const model::LabelSelector& selector, const model::Labels& labels) {
  for (const auto& [key, value] : selector.labels) {
    if (!labels.contains(key) || labels.at(key) != value) return false;
  }
  for (const auto& one : selector.expressions) {
    const bool has = labels.contains(one.key);
    const bool in = has && std::count(one.values.begin(), one.values.end(), labels.at(one.key)) != 0;
    if (one.op == LabelOperator::kIn && !in) return false;
    if (one.op == LabelOperator::kNotIn && in) return false;
    if (one.op == LabelOperator::kExists && !has) return false;
    if (one.op == LabelOperator::kDoesNotExist && has) return false;
  }
  return true;
}

bool naive_peer(const model::NetworkPeer& peer, const std::string& policy_ns, const model::Pod* pod,
                const model::IpAddress& address, const std::map<std::string, model::Labels>& namespaces) {
  if (peer.block) {
    if (!peer.block->covers(address)) return false;
    return std::none_of(peer.except.begin(), peer.except.end(), [&](const auto& one) { return one.covers(address); });
  }
  if (!pod) return false;
  if (!peer.namespaces && pod->name.ns != policy_ns) return false;
  if (peer.namespaces && !naive_labels(*peer.namespaces, namespaces.at(pod->name.ns))) return false;
  return !peer.pods || naive_labels(*peer.pods, pod->labels);
}

bool naive_port(const model::NetworkPort& one, const model::Pod* called, std::uint16_t port, Protocol protocol) {
  if (one.protocol != protocol) return false;
  if (one.name.empty()) return one.first == 0 || (one.first <= port && port <= one.last);
  return called && std::any_of(called->ports.begin(), called->ports.end(), [&](const auto& has) {
           return has.name == one.name && has.protocol == protocol && has.port == port;
         });
}

std::string naive_network_verdict(const compile::PolicyInput& input, cf_policy_direction direction,
                                  const model::Pod& workload, const model::Pod* peer, const model::IpAddress& address,
                                  std::uint16_t port, Protocol protocol) {
  bool isolated = false;
  for (const auto& policy : input.network_policies) {
    const auto& rules = direction == CF_POLICY_IN ? policy->ingress : policy->egress;
    if (!rules || policy->name.ns != workload.name.ns || !naive_labels(policy->selector, workload.labels)) continue;
    isolated = true;
    for (const auto& rule : *rules) {
      const auto* called = direction == CF_POLICY_IN ? &workload : peer;
      const auto port_matches = [&](bool by_block) {
        return rule.ports.empty() || std::any_of(rule.ports.begin(), rule.ports.end(), [&](const auto& one) {
                 // A port's name is a pod's: on the way out none goes with a block.
                 if (direction == CF_POLICY_OUT && by_block && !one.name.empty()) return false;
                 return naive_port(one, called, port, protocol);
               });
      };
      if (rule.peers.empty() && port_matches(false)) return "allowed";
      for (const auto& one : rule.peers) {
        const bool matches = naive_peer(one, policy->name.ns, peer, address, input.namespaces);
        if (matches && port_matches(one.block.has_value())) return "allowed";
      }
    }
  }
  if (!isolated) return "unselected";
  return std::find(input.node_addresses.begin(), input.node_addresses.end(), address) != input.node_addresses.end()
             ? "node"
             : "not_in_network";
}

class NetworkChance {
 public:
  explicit NetworkChance(unsigned seed) : random_(seed) {}
  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  template <typename T>
  const T& of(const std::vector<T>& values) {
    return values[pick(values.size())];
  }

  model::LabelSelector selector(const std::vector<std::string>& keys, const std::vector<std::string>& values) {
    model::LabelSelector out;
    if (pick(2)) out.labels.emplace(of(keys), of(values));
    for (std::size_t i = pick(3); i > 0; --i) {
      model::LabelRequirement one{of(keys), static_cast<LabelOperator>(pick(4)), {}};
      if (one.op == LabelOperator::kIn || one.op == LabelOperator::kNotIn) {
        for (std::size_t count = 1 + pick(2); count > 0; --count) one.values.push_back(of(values));
      }
      out.expressions.push_back(one);
    }
    return out;
  }

  model::NetworkPeer peer() {
    model::NetworkPeer out;
    switch (pick(4)) {
      case 0:
        out.pods = selector(keys_, values_);
        break;
      case 1:
        out.namespaces = selector({"team", "kubernetes.io/metadata.name"}, {"a", "b", "x"});
        break;
      case 2:
        out.pods = selector(keys_, values_);
        out.namespaces = selector({"team"}, {"x", "y"});
        break;
      default:
        block(out);
    }
    return out;
  }

  model::NetworkRule rule() {
    model::NetworkRule out;
    for (std::size_t i = pick(3); i > 0; --i) out.peers.push_back(peer());
    for (std::size_t i = pick(3); i > 0; --i) {
      model::NetworkPort one;
      one.protocol = of<Protocol>({Protocol::kTcp, Protocol::kUdp, Protocol::kSctp});
      const auto kind = pick(4);
      if (kind == 0) one.name = of<std::string>({"http", "admin"});
      if (kind == 1) one.first = one.last = static_cast<std::uint16_t>(80 + pick(4));
      if (kind == 2) one.first = 80, one.last = static_cast<std::uint16_t>(80 + pick(3));
      out.ports.push_back(one);
    }
    return out;
  }

  NetPolicy policy(std::size_t number) {
    auto out = std::make_shared<model::NetworkPolicy>();
    out->name = {of<std::string>({"a", "b"}), fmt::format("policy{}", number)};
    if (pick(3)) out->selector = selector(keys_, values_);
    for (auto* rules : {&out->ingress, &out->egress}) {
      if (pick(3) == 0) continue;
      rules->emplace();
      for (std::size_t i = pick(3); i > 0; --i) (*rules)->push_back(rule());
    }
    return out;
  }

  NetPod pod(std::size_t number) {
    model::Labels labels{{"unlooked", std::to_string(number)}};
    for (const auto& key : keys_) {
      if (pick(3)) labels.emplace(key, of(values_));
    }
    std::vector<model::PodPort> ports;
    if (pick(2)) ports.push_back({"admin", of<Protocol>({Protocol::kTcp, Protocol::kUdp}), 82});
    if (pick(2)) ports.push_back({"http", Protocol::kTcp, static_cast<std::uint16_t>(80 + pick(3))});
    return net_pod(of<std::string>({"a", "b"}), fmt::format("pod{}", number), labels,
                   fmt::format("10.0.{}.{}", number, number + 1), ports);
  }

 private:
  void block(model::NetworkPeer& out) {
    const auto cidr = [](const std::string& text) {
      const auto slash = text.find('/');
      return model::Cidr{*model::IpAddress::parse(text.substr(0, slash)),
                         static_cast<std::uint8_t>(std::stoi(text.substr(slash + 1)))};
    };
    const std::vector<std::string> cidrs{"10.0.0.0/24", "10.0.0.0/8",    "10.0.0.8/29", "0.0.0.0/0",
                                         "::/0",        "2001:db8::/32", "::/80",       "10.0.3.4/32"};
    out.block = cidr(of(cidrs));
    for (std::size_t i = pick(3); i > 0; --i) {
      const auto except = cidr(of(cidrs));
      if (out.block->covers(except.prefix) && except.length > out.block->length) out.except.push_back(except);
    }
  }

  std::mt19937 random_;
  std::vector<std::string> keys_{"app", "tier"}, values_{"p", "q", "r"};
};

}  // namespace

TEST_CASE("whatever the NetworkPolicies are, the lookups decide as reading them one by one does, both ways") {
  NetworkChance chance(21);
  const std::vector<std::string> addresses{"10.0.0.1",    "10.0.0.9",    "10.0.1.1", "10.1.0.1",
                                           "2001:db8::1", "2001:db9::1", kNode};
  std::set<std::string> seen;
  for (int round = 0; round < 400; ++round) {
    std::vector<NetPod> pods;
    pods.reserve(8);
    for (std::size_t i = 0; i < 8; ++i) pods.push_back(chance.pod(i));
    std::vector<NetPolicy> policies;
    for (std::size_t i = 0, count = chance.pick(5); i < count; ++i) policies.push_back(chance.policy(i));
    NetWorld world(policies, pods);
    world.input.namespaces = {{"a", {{"kubernetes.io/metadata.name", "a"}, {"team", "x"}}},
                              {"b", {{"kubernetes.io/metadata.name", "b"}}}};
    world.make();
    for (int ask = 0; ask < 60; ++ask) {
      const auto& workload = chance.of(pods);
      const auto address =
          chance.pick(2) ? chance.of(pods)->addresses[0] : *model::IpAddress::parse(chance.of(addresses));
      const model::Pod* peer = nullptr;
      for (const auto& one : pods) {
        if (one->addresses[0] == address) peer = one.get();
      }
      const auto port = static_cast<std::uint16_t>(79 + chance.pick(5));
      const auto protocol = chance.pick(2) ? Protocol::kTcp : Protocol::kUdp;
      for (const auto direction : {CF_POLICY_IN, CF_POLICY_OUT}) {
        const auto made = world.decide(direction, workload->name, address.to_string(), port, protocol);
        INFO("round " << round << ", " << workload->name.ns << "/" << workload->name.name
                      << (direction == CF_POLICY_IN ? " from " : " to ") << address.to_string() << ":" << port);
        REQUIRE(compile::verdict_name(made.verdict) ==
                naive_network_verdict(world.input, direction, *workload, peer, address, port, protocol));
        seen.insert(compile::verdict_name(made.verdict) + std::string(direction == CF_POLICY_IN ? " in" : " out"));
      }
    }
  }
  CHECK(seen == std::set<std::string>{"unselected in", "unselected out", "allowed in", "allowed out", "node in",
                                      "node out", "not_in_network in", "not_in_network out"});
}
