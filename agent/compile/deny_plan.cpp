// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/deny_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "agent/base/octets.h"

namespace cortexflow::compile {
namespace {

constexpr std::uint8_t kMapped = 96;  // length of ::ffff:0:0/96, where IPv4 is

// In this order what covers comes before what it covers.
struct Prefix {
  std::uint16_t port = 0;
  bool v4 = false;
  std::array<std::uint8_t, 16> address{};
  std::uint8_t length = 0;  // of 128
  auto operator<=>(const Prefix&) const = default;
};

std::array<std::uint8_t, 16> masked(std::array<std::uint8_t, 16> address, unsigned length) {
  for (unsigned bit = length; bit < 128; ++bit) {
    address[bit / 8] = static_cast<std::uint8_t>(address[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  return address;
}

bool covers(const Prefix& outer, const Prefix& inner) {
  return outer.port == inner.port && outer.v4 == inner.v4 && outer.length <= inner.length &&
         masked(inner.address, outer.length) == outer.address;
}

void merge(cf_edge_deny& into, const cf_edge_deny& from) {
  for (int d = 0; d < CF_EDGE_DIRECTIONS; ++d) {
    into.drop_until_ns[d] = std::max(into.drop_until_ns[d], from.drop_until_ns[d]);
    into.audit_until_ns[d] = std::max(into.audit_until_ns[d], from.audit_until_ns[d]);
  }
}

cf_edge_deny deny_value(const DenyRule& rule) {
  cf_edge_deny value{};
  auto* until = rule.audit ? value.audit_until_ns : value.drop_until_ns;
  if (rule.in) until[CF_EDGE_IN] = rule.until_ns;
  if (rule.out) until[CF_EDGE_OUT] = rule.until_ns;
  return value;
}

cf_edge_deny_key key_of(const Prefix& prefix) {
  cf_edge_deny_key key{};
  key.prefix_length = 16U + prefix.length;
  key.port[0] = static_cast<std::uint8_t>(prefix.port >> 8);
  key.port[1] = static_cast<std::uint8_t>(prefix.port & 0xff);
  std::copy(prefix.address.begin(), prefix.address.end(), key.address);
  return key;
}

}  // namespace

std::map<std::string, std::string> deny_entries(const std::vector<DenyRule>& rules) {
  const Prefix mapped{0, true, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, kMapped};
  std::map<Prefix, cf_edge_deny> own;
  for (const auto& rule : rules) {
    const bool v4 = rule.prefix.is_v4();
    const auto length = static_cast<std::uint8_t>(v4 ? kMapped + std::min<unsigned>(rule.length, 32)
                                                     : std::min<unsigned>(rule.length, 128));
    merge(own[{rule.port, v4, masked(rule.prefix.octets, length), length}], deny_value(rule));
    if (v4) continue;
    auto four = mapped;  // so that no IPv4 address finds a prefix of IPv6
    four.port = rule.port;
    if (masked(four.address, length) == masked(rule.prefix.octets, length)) own.try_emplace(four);
  }
  std::map<std::string, std::string> out;
  std::vector<std::pair<Prefix, cf_edge_deny>> around;  // the entries that cover the last one, the widest first
  for (const auto& [prefix, said] : own) {
    while (!around.empty() && !covers(around.back().first, prefix)) around.pop_back();
    auto value = said;
    if (!around.empty()) merge(value, around.back().second);
    around.emplace_back(prefix, value);
    out[octets_of(key_of(prefix))] = octets_of(value);
  }
  return out;
}

DenyPlan plan_deny(const std::vector<model::DenyEntry>& entries, std::chrono::system_clock::time_point now,
                   std::chrono::nanoseconds offset) {
  DenyPlan out;
  out.next_expiry = std::chrono::system_clock::time_point::max();
  std::vector<DenyRule> rules;
  for (const auto& entry : entries) {
    DenyRule rule{entry.prefix, entry.length, 0, entry.in, entry.out, entry.audit, kForGood};
    if (entry.expires) {
      if (*entry.expires <= now) continue;
      out.next_expiry = std::min(out.next_expiry, *entry.expires);
      rule.until_ns = static_cast<std::uint64_t>((entry.expires->time_since_epoch() - offset).count());
    }
    if (entry.ports.empty()) rules.push_back(rule);
    for (const auto port : entry.ports) {
      rule.port = port;
      rules.push_back(rule);
    }
  }
  const auto wanted = rules.size();
  out.entries = deny_entries(rules);
  while (out.entries.size() > CF_EDGE_DENY_MAX) {
    rules.resize(rules.size() - (out.entries.size() - CF_EDGE_DENY_MAX));
    out.entries = deny_entries(rules);
  }
  if (rules.size() < wanted) {
    out.refusal =
        fmt::format("deny lists: there is no room for the last {} of {} entries (each port is one): {} are possible",
                    wanted - rules.size(), wanted, static_cast<int>(CF_EDGE_DENY_MAX));
  }
  return out;
}

std::uint32_t deny_flags(const std::map<std::string, std::string>& entries) {
  std::uint32_t flags = 0;
  for (const auto& [key, value] : entries) {
    cf_edge_deny_key one{};
    std::memcpy(&one, key.data(), sizeof one);
    flags |= one.port[0] || one.port[1] ? CF_EDGE_DENY_PORT : CF_EDGE_DENY_ANY;
  }
  return flags;
}

}  // namespace cortexflow::compile
