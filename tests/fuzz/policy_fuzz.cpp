// SPDX-License-Identifier: Apache-2.0
// Any octets as documents of policies, compiled beside pods, nodes and a namespace's default deny: the plan stays
// within its limits, names every table and number that it points to, and each lookup has a verdict; what a policy that
// can't be read leaves is closed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <variant>

#include "agent/compile/policy_plan.h"
#include "agent/source/manifest/document_reader.h"

namespace {

using namespace cortexflow;
using compile::PolicyInput;
using compile::PolicyPlan;

void require(bool holds) {
  if (!holds) std::abort();
}

std::shared_ptr<const model::Pod> pod(const char* ns, const char* name, const char* address, model::Labels labels) {
  model::Pod made;
  made.name = {ns, name};
  made.service_account = name;
  made.labels = std::move(labels);
  made.addresses = {*model::IpAddress::parse(address)};
  made.ports = {{"http", model::Protocol::kTcp, 8080}};
  return std::make_shared<const model::Pod>(std::move(made));
}

PolicyInput input_of(std::string_view text) {
  PolicyInput input;
  input.trust_domain = "cluster.local";
  input.hash_key = {1, 2};
  input.limits = {4096, 512, 64, 64};
  input.pods = {pod("other", "web", "10.0.0.3", {{"app", "web"}, {"cortexflow.io/mesh", "disabled"}}),
                pod("shop", "cart", "10.0.0.1", {{"app", "cart"}, {"role", "db"}}),
                pod("shop", "web", "10.0.0.2", {{"app", "web"}})};
  input.namespaces = {{"shop", {{"team", "a"}}}, {"other", {{"team", "b"}}}};
  input.node_addresses = {*model::IpAddress::parse("10.0.1.1")};
  input.nodes = {std::make_shared<const model::Node>(model::Node{"there", {*model::IpAddress::parse("fd00::1")}})};
  const auto read = source::read_document(text);
  for (const auto& one : read.objects) {
    if (const auto* policy = std::get_if<std::shared_ptr<const model::AuthorizationPolicy>>(&one.object)) {
      input.policies.push_back(*policy);
    } else if (const auto* network = std::get_if<std::shared_ptr<const model::NetworkPolicy>>(&one.object)) {
      input.network_policies.push_back(*network);
    }
  }
  for (const auto& refused : read.refused) {
    if (refused.key && refused.key->kind == model::Kind::kAuthorizationPolicy) {
      input.closed_namespaces.at(CF_POLICY_IN).insert(refused.key->name.ns);
    }
  }
  return input;
}

void check(const PolicyInput& input, const PolicyPlan& plan, const compile::RuleNumbers& numbers) {
  std::size_t rules = 0, blocks = 0;
  for (const auto& table : plan.tables) {
    rules += table.rules.size();
    blocks += table.blocks.size();
    for (const auto* entries : {&table.rules, &table.blocks}) {
      for (const auto& [key, rule] : *entries) {
        for (const auto number : rule.rule) require(number == 0 || !numbers.name(number).empty());
      }
    }
  }
  // A table whose rules have no room has none; its workloads are closed.
  require(rules <= input.limits.rules && blocks <= input.limits.blocks);
  for (const auto& [identity, target] : plan.targets) {
    for (const auto& side : target) require(side.flags == 0 || side.table < plan.tables.size());
  }
  for (const auto& [workload, in] : plan.pods) {
    for (const auto& [address, peer] : plan.addresses) {
      for (const std::uint16_t port : {std::uint16_t{80}, std::uint16_t{8080}}) {
        for (const auto direction : {CF_POLICY_IN, CF_POLICY_OUT}) {
          const auto said = compile::decide(plan, direction, {in, peer, address, port, model::Protocol::kTcp},
                                            CF_POLICY_UNKNOWN_DENY);
          require(said.verdict < CF_POLICY_V_MAX);
          const bool closed = direction == CF_POLICY_IN && workload.ns == "shop" &&
                              input.closed_namespaces.at(CF_POLICY_IN).contains("shop");
          require(!closed || said.verdict == CF_POLICY_V_CLOSED);
        }
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = input_of({reinterpret_cast<const char*>(data), size});
  compile::RuleNumbers numbers;
  const auto plan = compile::plan_policies(input, numbers);
  check(input, plan, numbers);
  return 0;
}
