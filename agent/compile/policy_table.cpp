// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/policy_table.h"

#include <algorithm>
#include <utility>

#include "agent/base/octets.h"

namespace cortexflow::compile {
namespace {

constexpr std::uint32_t kBlockHead = 64;  // bits of a block's key before the address
constexpr std::uint8_t kMappedBits = 96;  // length of ::ffff:0:0/96, where IPv4 is

// What was said first stays.
void add_say(cf_policy_rule& into, const cf_policy_rule& more) {
  for (std::size_t say = 0; say < CF_POLICY_SAYS; ++say) {
    if (!(more.says & 1U << say) || into.says & 1U << say) continue;
    into.says |= 1U << say;
    into.rule[say] = more.rule[say];
  }
}

std::string rule_key(std::uint64_t peer, const PortOfProtocol& port) {
  return octets_of(cf_policy_rule_key{peer, 0, port.port, port.protocol, 0});
}

std::string block_key(const model::IpAddress& prefix, unsigned bits, const PortOfProtocol& port) {
  cf_policy_block_key key{kBlockHead + bits, 0, port.port, port.protocol, 0, {}};
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

}  // namespace

PolicyTableBuilder::Block PolicyTableBuilder::block_of(const PortOfProtocol& port, const model::Cidr& cidr) {
  return {port, cidr.prefix.is_v4(), masked(cidr.prefix, cidr.bits()), cidr.bits()};
}

bool PolicyTableBuilder::covers(const Block& outer, const Block& inner) {
  return outer.port == inner.port && outer.v4 == inner.v4 && outer.bits <= inner.bits &&
         masked(inner.prefix, outer.bits) == outer.prefix;
}

void PolicyTableBuilder::add(const PolicyStatement& statement) {
  cf_policy_rule said{1U << statement.say, {}};
  said.rule[statement.say] = statement.rule;
  for (const auto& port : statement.ports) {
    for (const auto peer : statement.peers) {
      if (rules_.size() > limits_.rules) return;
      add_say(rules_[rule_key(peer, port)], said);
    }
    for (const auto& block : statement.blocks) {
      if (blocks_.size() > limits_.blocks) return;
      const auto number = statements_++;
      blocks_[block_of(port, block.cidr)].begins.emplace(number, said);
      for (const auto& except : block.except) blocks_[block_of(port, except)].ends.insert(number);
    }
  }
}

// The kernel finds the longest alone, so that each entry says what those around it say too, as far as it is not
// excepted from them; and no IPv4 address may find a prefix of IPv6 that covers ::ffff:0:0/96.
PolicyTable PolicyTableBuilder::take() {
  const model::IpAddress mapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
  std::vector<Block> shadows;
  for (const auto& [block, turn] : blocks_) {
    if (!block.v4 && block.bits <= kMappedBits && masked(mapped, block.bits) == block.prefix) {
      shadows.push_back({block.port, true, mapped, kMappedBits});
    }
  }
  for (const auto& shadow : shadows) blocks_.try_emplace(shadow);
  PolicyTable out{std::move(rules_), {}, {}};
  std::vector<std::pair<Block, std::map<std::size_t, cf_policy_rule>>> around;
  for (auto& [block, turn] : blocks_) {
    while (!around.empty() && !covers(around.back().first, block)) around.pop_back();
    auto said = std::move(turn.begins);
    if (!around.empty()) {
      for (const auto& [number, rule] : around.back().second) {
        if (!turn.ends.contains(number)) said.emplace(number, rule);
      }
    }
    cf_policy_rule value{};
    for (const auto& [number, rule] : said) add_say(value, rule);
    out.blocks.emplace(block_key(block.prefix, block.bits, block.port), value);
    around.emplace_back(block, std::move(said));
  }
  return out;
}

const cf_policy_rule* find_rule(const PolicyTable& table, std::uint64_t peer, std::uint16_t port,
                                model::Protocol protocol) {
  const auto found = table.rules.find(rule_key(peer, {port, static_cast<std::uint8_t>(protocol)}));
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
