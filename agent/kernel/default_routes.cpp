// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/default_routes.h"

#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "agent/base/fd.h"
#include "agent/base/octets.h"
#include "agent/kernel/rtnetlink.h"

namespace cortexflow::kernel {
namespace {

void add(int index, std::set<std::string>& interfaces) {
  std::array<char, IF_NAMESIZE> name{};
  if (index > 0 && if_indextoname(static_cast<unsigned>(index), name.data())) interfaces.insert(name.data());
}

void add_route(std::string_view message, std::set<std::string>& interfaces) {
  rtmsg route{};
  if (message.size() < sizeof route) return;
  message.copy(reinterpret_cast<char*>(&route), sizeof route);
  const auto attributes = attributes_of(message.substr(NLMSG_ALIGN(sizeof route)));
  const auto table = value_in<std::uint32_t>(attributes, RTA_TABLE).value_or(route.rtm_table);
  if (route.rtm_dst_len != 0 || route.rtm_type != RTN_UNICAST || table != RT_TABLE_MAIN) return;
  add(value_in<int>(attributes, RTA_OIF).value_or(0), interfaces);
  const auto several = attributes.find(RTA_MULTIPATH);
  if (several == attributes.end()) return;
  for (auto left = several->second; left.size() >= sizeof(rtnexthop);) {
    rtnexthop hop{};
    left.copy(reinterpret_cast<char*>(&hop), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > left.size()) return;
    add(hop.rtnh_ifindex, interfaces);
    left.remove_prefix(std::min<std::size_t>(RTNH_ALIGN(hop.rtnh_len), left.size()));
  }
}

}  // namespace

Result<std::set<std::string>> default_route_interfaces() {
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return fail_errno("cannot ask for routes", errno);
  std::set<std::string> out;
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg wanted{};
    wanted.rtm_family = static_cast<unsigned char>(family);
    const auto dumped =
        dump(netlink.get(), RTM_GETROUTE, octets_of(wanted), [&](auto message) { add_route(message, out); });
    if (!dumped) return tl::make_unexpected(dumped.error());
  }
  return out;
}

}  // namespace cortexflow::kernel
