// SPDX-License-Identifier: Apache-2.0
// AuthorizationPolicy: what its documents may say.
#include "tests/unit/policy_text.h"

using namespace cortexflow;
using model::Protocol;
using test::policy;
using test::policy_text;

namespace {

std::string policy_refusal(const std::string& spec) {
  const auto read = source::read_document(policy_text(spec));
  if (read.refused.empty()) return "";
  return fmt::format("{} {}: {}", read.refused[0].problem.line, read.refused[0].problem.field,
                     read.refused[0].problem.reason);
}

}  // namespace

TEST_CASE("an AuthorizationPolicy's document says whom it selects and what its rules match") {
  const auto read = policy(R"({selector: {matchLabels: {app: cart}}, action: DENY, mode: audit, rules: [
    {from: [{source: {principals: ["spiffe://cluster.local/ns/*/sa/web"], serviceAccounts: [web, other/db]}},
            {source: {ipBlocks: [198.51.100.0/24]}}, {source: {podLabels: {app: web}}}],
     to: [{operation: {ports: [443, 80, 80], protocols: [UDP]}}]}]})");
  CHECK(read->name == model::ObjectName{"shop", "p"});
  CHECK(read->selector == model::Labels{{"app", "cart"}});
  CHECK((read->action == model::PolicyAction::kDeny && read->audit));
  REQUIRE((read->rules.size() == 1 && read->rules[0].from.size() == 3));
  const auto& from = read->rules[0].from;
  CHECK(from[0].principals == std::vector<model::Principal>{{"cluster.local", "*", "web"}});
  CHECK(from[0].service_accounts == std::vector<model::ObjectName>{{"shop", "web"}, {"other", "db"}});
  CHECK(from[1].ip_blocks[0].to_string() == "198.51.100.0/24");
  CHECK(from[2].namespaces == std::vector<std::string>{"shop"});
  CHECK(read->rules[0].to[0].ports == std::vector<std::uint16_t>{80, 443});
  CHECK(read->rules[0].to[0].protocols == std::vector<Protocol>{Protocol::kUdp});
}

TEST_CASE("what an AuthorizationPolicy can't mean is refused with its line and field") {
  CHECK(policy_refusal("{}") == "");
  const std::vector<std::pair<std::string, std::string>> cases{
      {"{rule: []}", "4 spec.rule: unknown field"},
      {"{action: DENY}", "4 spec.rules: expected at least one rule"},
      {"{action: LOG}", "4 spec.action: expected one of ALLOW, DENY, AUDIT"},
      {"{mode: dry}", "4 spec.mode: "},
      {"{selector: {matchExpressions: []}}", "4 spec.selector.matchExpressions: unknown field"},
      {"{rules: [{from: []}]}", "4 spec.rules[0].from: expected at least one source"},
      {"{rules: [{when: []}]}", "4 spec.rules[0].when: unknown field"},
      {"{rules: [{from: [{source: {}}]}]}", "4 spec.rules[0].from[0].source: expected at least one of its fields"},
      {"{rules: [{from: [{source: {namespaces: []}}]}]}", "4 spec.rules[0].from[0].source.namespaces: "},
      {"{rules: [{from: [{source: {namespaces: [a], ipBlocks: [10.0.0.0/8]}}]}]}",
       "4 spec.rules[0].from[0].source.ipBlocks: expected ipBlocks alone"},
      {"{rules: [{from: [{source: {ipBlocks: [10.0.0.1/8]}}]}]}", "4 spec.rules[0].from[0].source.ipBlocks[0]: "},
      {"{rules: [{from: [{source: {entities: [world], namespaces: [a]}}]}]}",
       "4 spec.rules[0].from[0].source.entities: expected entities alone"},
      {"{rules: [{from: [{source: {entities: [unknown]}}]}]}",
       "4 spec.rules[0].from[0].source.entities[0]: expected one of host, node, world, unmanaged"},
      {"{rules: [{from: [{source: {principals: [shop/web]}}]}]}", "4 spec.rules[0].from[0].source.principals[0]: "},
      {"{rules: [{from: [{source: {principals: [\"spiffe://a/ns/b/sa/c/d\"]}}]}]}",
       "4 spec.rules[0].from[0].source.principals[0]: "},
      {"{rules: [{to: [{operation: {ports: [0]}}]}]}", "4 spec.rules[0].to[0].operation.ports[0]: "},
      {"{rules: [{to: [{operation: {paths: [/]}}]}]}", "4 spec.rules[0].to[0].operation.paths: unknown field"},
      {"{rules: [{to: [{operation: {protocols: [SCTP]}}]}]}", "4 spec.rules[0].to[0].operation.protocols[0]: "},
      {"{direction: out}", "4 spec.direction: expected one of ingress, egress"},
      {"{direction: egress, rules: [{from: [{source: {namespaces: [a]}}]}]}",
       "4 spec.rules[0].from: expected to alone"},
      {"{direction: egress, rules: [{to: [{}]}]}", "4 spec.rules[0].to[0]: expected destination or operation"},
      {"{direction: egress, rules: [{to: [{destination: {}}]}]}", "4 spec.rules[0].to[0].destination: expected"},
      {"{rules: [{to: [{destination: {namespaces: [a]}}]}]}", "4 spec.rules[0].to[0].destination: expected it with"},
  };
  for (const auto& [spec, words] : cases) {
    INFO(spec);
    CHECK_THAT(policy_refusal(spec), Catch::StartsWith(words));
  }
}
