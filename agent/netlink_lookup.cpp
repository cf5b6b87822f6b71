// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink_lookup.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "agent/base/fd.h"
#include "agent/base/octets.h"

namespace cortexflow {
namespace {

// One message there, and the first one back if it is an `answer`; empty: it isn't.  An interface's has a few kB.
std::string ask(std::uint16_t type, const std::string& body, std::uint16_t answer) {
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  nlmsghdr header{};
  header.nlmsg_len = static_cast<__u32>(sizeof header + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = NLM_F_REQUEST;
  const auto message = octets_of(header) + body;
  if (!netlink || send(netlink.get(), message.data(), message.size(), 0) < 0) return {};
  constexpr std::size_t kAnswerMax = 32768;
  std::string got(kAnswerMax, '\0');
  const auto size = recv(netlink.get(), got.data(), got.size(), 0);
  if (size < static_cast<ssize_t>(sizeof header)) return {};
  std::memcpy(&header, got.data(), sizeof header);
  if (header.nlmsg_type != answer) return {};
  return got.substr(0, static_cast<std::size_t>(size));
}

// The attribute's value where it is the index of an interface; `fixed` octets are before the attributes.
std::optional<std::string> interface_in(const std::string& message, std::size_t fixed, std::uint16_t wanted) {
  for (std::size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(fixed); at + sizeof(rtattr) <= message.size();) {
    rtattr attribute{};
    std::memcpy(&attribute, message.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute) break;
    std::uint32_t index = 0;
    if (attribute.rta_type == wanted && at + sizeof attribute + sizeof index <= message.size()) {
      std::array<char, IF_NAMESIZE> name{};
      std::memcpy(&index, message.data() + at + sizeof attribute, sizeof index);
      return if_indextoname(index, name.data()) ? std::optional<std::string>(name.data()) : std::nullopt;
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> route_towards(const model::IpAddress& address) {
  const std::size_t size = address.is_v4() ? 4 : address.octets.size();
  rtmsg route{};
  route.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  route.rtm_dst_len = static_cast<unsigned char>(size * 8);
  const rtattr destination{static_cast<unsigned short>(sizeof(rtattr) + size), RTA_DST};
  const std::string octets(address.octets.end() - static_cast<std::ptrdiff_t>(size), address.octets.end());
  const auto answer = ask(RTM_GETROUTE, octets_of(route) + octets_of(destination) + octets, RTM_NEWROUTE);
  if (answer.size() < NLMSG_HDRLEN + sizeof route) return std::nullopt;
  std::memcpy(&route, answer.data() + NLMSG_HDRLEN, sizeof route);
  return route.rtm_type == RTN_UNICAST ? interface_in(answer, sizeof route, RTA_OIF) : std::nullopt;
}

std::optional<std::string> master_of(const std::string& interface) {
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (link.ifi_index == 0) return std::nullopt;
  return interface_in(ask(RTM_GETLINK, octets_of(link), RTM_NEWLINK), sizeof link, IFLA_MASTER);
}

}  // namespace cortexflow
