// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/policy_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "agent/base/octets.h"

namespace cortexflow::compile {
namespace {

constexpr std::uint32_t kBlockHead = 64;  // bits of a block's key before the address
constexpr std::uint8_t kMappedBits = 96;  // length of ::ffff:0:0/96, where IPv4 is

struct Operation {
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
  auto operator<=>(const Operation&) const = default;
};

// In this order what covers comes before what it covers.
struct Block {
  Operation operation;
  bool v4 = false;
  model::IpAddress prefix;
  unsigned bits = 0;  // of 128
  auto operator<=>(const Block&) const = default;
};

std::vector<Operation> operations_of(const model::PolicyRule& rule) {
  std::vector<Operation> out;
  const auto add = [&](const std::vector<std::uint16_t>& ports, const std::vector<model::Protocol>& protocols) {
    for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
      if (!protocols.empty() && std::find(protocols.begin(), protocols.end(), protocol) == protocols.end()) continue;
      for (const auto port : ports.empty() ? std::vector<std::uint16_t>{0} : ports) {
        out.push_back({port, static_cast<std::uint8_t>(protocol)});
      }
    }
  };
  if (rule.to.empty()) add({}, {});
  for (const auto& operation : rule.to) add(operation.ports, operation.protocols);
  return out;
}

cf_policy_say say_of(const model::AuthorizationPolicy& policy) {
  switch (policy.action) {
    case model::PolicyAction::kAllow:
      return policy.audit ? CF_POLICY_SAY_DRY_ALLOW : CF_POLICY_SAY_ALLOW;
    case model::PolicyAction::kDeny:
      return policy.audit ? CF_POLICY_SAY_DRY_DENY : CF_POLICY_SAY_DENY;
    case model::PolicyAction::kAudit:
      break;
  }
  return CF_POLICY_SAY_AUDIT;
}

// What was said first stays.
void add_say(cf_policy_rule& into, const cf_policy_rule& more) {
  for (std::size_t say = 0; say < CF_POLICY_SAYS; ++say) {
    if (!(more.says & 1U << say) || into.says & 1U << say) continue;
    into.says |= 1U << say;
    into.rule[say] = more.rule[say];
  }
}

std::string rule_key(std::uint64_t source, const Operation& operation) {
  return octets_of(cf_policy_rule_key{source, 0, operation.port, operation.protocol, 0});
}

std::string block_key(const model::IpAddress& prefix, unsigned bits, const Operation& operation) {
  cf_policy_block_key key{kBlockHead + bits, 0, operation.port, operation.protocol, 0, {}};
  std::copy(prefix.octets.begin(), prefix.octets.end(), key.address);
  return octets_of(key);
}

model::IpAddress masked(model::IpAddress address, unsigned bits) {
  for (unsigned bit = bits; bit < 128; ++bit) {
    auto& octet = address.octets[bit / 8];
    octet = static_cast<std::uint8_t>(octet & ~(0x80U >> (bit % 8)));
  }
  return address;
}

bool covers(const Block& outer, const Block& inner) {
  return outer.operation == inner.operation && outer.v4 == inner.v4 && outer.bits <= inner.bits &&
         masked(inner.prefix, outer.bits) == outer.prefix;
}

// The kernel finds the longest alone, so that each entry says what those around it say too; and no IPv4 address may
// find a prefix of IPv6 that covers ::ffff:0:0/96.
std::map<std::string, cf_policy_rule> nested(std::map<Block, cf_policy_rule> blocks) {
  const auto given = blocks;
  for (const auto& [block, said] : given) {
    const model::IpAddress mapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
    if (!block.v4 && block.bits <= kMappedBits && masked(mapped, block.bits) == block.prefix) {
      blocks.try_emplace(Block{block.operation, true, mapped, kMappedBits});
    }
  }
  std::map<std::string, cf_policy_rule> out;
  std::vector<std::pair<Block, cf_policy_rule>> around;
  for (const auto& [block, said] : blocks) {
    while (!around.empty() && !covers(around.back().first, block)) around.pop_back();
    auto value = said;
    if (!around.empty()) add_say(value, around.back().second);
    around.emplace_back(block, value);
    out.emplace(block_key(block.prefix, block.bits, block.operation), value);
  }
  return out;
}

}  // namespace

PolicyTable make_policy_table(const std::vector<const model::AuthorizationPolicy*>& policies,
                              const std::map<std::uint64_t, PolicyIdentity>& identities,
                              const std::string& trust_domain, RuleNumbers& numbers) {
  PolicyTable table;
  std::map<Block, cf_policy_rule> blocks;
  for (const auto* policy : policies) {
    table.policies.push_back(policy->name);
    for (std::size_t i = 0; i < policy->rules.size(); ++i) {
      const auto& rule = policy->rules[i];
      const auto say = say_of(*policy);
      cf_policy_rule said{1U << say, {}};
      said.rule[say] = numbers.number(fmt::format("{}/{}[{}]", policy->name.ns, policy->name.name, i));
      std::set<std::uint64_t> sources;
      if (rule.from.empty()) sources.insert(CF_POLICY_ID_ANY);
      for (const auto& source : rule.from) {
        if (!source.ip_blocks.empty()) continue;
        for (const auto& [number, identity] : identities) {
          if (matches(source, identity, trust_domain)) sources.insert(number);
        }
      }
      for (const auto& operation : operations_of(rule)) {
        for (const auto source : sources) add_say(table.rules[rule_key(source, operation)], said);
        for (const auto& source : rule.from) {
          for (const auto& cidr : source.ip_blocks) {
            add_say(blocks[{operation, cidr.prefix.is_v4(), masked(cidr.prefix, cidr.bits()), cidr.bits()}], said);
          }
        }
      }
    }
  }
  table.blocks = nested(std::move(blocks));
  return table;
}

const cf_policy_rule* find_rule(const PolicyTable& table, std::uint64_t source, std::uint16_t port,
                                model::Protocol protocol) {
  const auto found = table.rules.find(rule_key(source, {port, static_cast<std::uint8_t>(protocol)}));
  return found == table.rules.end() ? nullptr : &found->second;
}

const cf_policy_rule* find_block(const PolicyTable& table, const model::IpAddress& address, std::uint16_t port,
                                 model::Protocol protocol) {
  for (unsigned bits = table.blocks.empty() ? 0 : 129; bits-- > 0;) {
    const auto found =
        table.blocks.find(block_key(masked(address, bits), bits, {port, static_cast<std::uint8_t>(protocol)}));
    if (found != table.blocks.end()) return &found->second;
  }
  return nullptr;
}

}  // namespace cortexflow::compile
