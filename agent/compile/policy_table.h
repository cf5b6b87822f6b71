// SPDX-License-Identifier: Apache-2.0
// What rules say, put together into the entries that the kernel looks up, and how they are found.  Pure.
#pragma once

#include <compare>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/compile/policy_plan.h"
#include "agent/model/cidr.h"

namespace cortexflow::compile {

struct PortOfProtocol {
  std::uint16_t port = 0;  // 0: all
  std::uint8_t protocol = 0;
  auto operator<=>(const PortOfProtocol&) const = default;
};

struct PeerBlock {
  model::Cidr cidr;
  std::vector<model::Cidr> except;  // parts of it that are not meant
};

// One thing that is said of all these peers at all these ports.
struct PolicyStatement {
  cf_policy_say say = CF_POLICY_SAY_DENY;
  std::uint32_t rule = 0;
  std::set<std::uint64_t> peers;  // identities, or CF_POLICY_ID_ANY
  std::vector<PeerBlock> blocks;
  std::vector<PortOfProtocol> ports;
};

class PolicyTableBuilder {
 public:
  // Beyond so many entries nothing is added: the table is refused anyhow.
  explicit PolicyTableBuilder(const PolicyLimits& limits) : limits_(limits) {}

  // Where several speak of the same peer and port with the same say, the first is named.
  void add(const PolicyStatement& statement);
  [[nodiscard]] PolicyTable take();

 private:
  // In this order what covers comes before what it covers.
  struct Block {
    PortOfProtocol port;
    bool v4 = false;
    model::IpAddress prefix;
    unsigned bits = 0;  // of 128
    auto operator<=>(const Block&) const = default;
  };
  // From here on inwards.
  struct Turn {
    std::map<std::size_t, cf_policy_rule> begins;  // by number, in the order in which they came
    std::set<std::size_t> ends;
  };

  static Block block_of(const PortOfProtocol& port, const model::Cidr& cidr);
  static bool covers(const Block& outer, const Block& inner);

  PolicyLimits limits_;
  std::map<std::string, cf_policy_rule> rules_;
  std::map<Block, Turn> blocks_;
  std::size_t statements_ = 0;
};

// As the kernel finds them; null: no rule.
[[nodiscard]] const cf_policy_rule* find_rule(const PolicyTable& table, std::uint64_t peer, std::uint16_t port,
                                              model::Protocol protocol);
[[nodiscard]] const cf_policy_rule* find_block(const PolicyTable& table, const model::IpAddress& address,
                                               std::uint16_t port, model::Protocol protocol);

}  // namespace cortexflow::compile
