// SPDX-License-Identifier: Apache-2.0
#include "agent/route_towards.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "agent/base/fd.h"

namespace cortexflow {
namespace {

struct Question {
  nlmsghdr header;
  rtmsg route;
  rtattr attribute;
  std::array<std::uint8_t, 16> destination;
};

Question question(const model::IpAddress& address) {
  const std::size_t size = address.is_v4() ? 4 : 16;
  Question out{};
  out.header.nlmsg_len = static_cast<__u32>(offsetof(Question, destination) + size);
  out.header.nlmsg_type = RTM_GETROUTE;
  out.header.nlmsg_flags = NLM_F_REQUEST;
  out.route.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  out.route.rtm_dst_len = static_cast<unsigned char>(size * 8);
  out.attribute.rta_len = static_cast<unsigned short>(sizeof(rtattr) + size);
  out.attribute.rta_type = RTA_DST;
  std::memcpy(out.destination.data(), address.octets.data() + 16 - size, size);
  return out;
}

}  // namespace

std::optional<std::string> route_towards(const model::IpAddress& address) {
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  const auto asked = question(address);
  if (!netlink || send(netlink.get(), &asked, asked.header.nlmsg_len, 0) < 0) return std::nullopt;
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  const auto size = recv(netlink.get(), answer.data(), answer.size(), 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(rtmsg))) || header->nlmsg_type != RTM_NEWROUTE) {
    return std::nullopt;
  }
  rtmsg route{};
  std::memcpy(&route, answer.data() + NLMSG_HDRLEN, sizeof route);
  if (route.rtm_type != RTN_UNICAST) return std::nullopt;
  for (std::size_t at = NLMSG_LENGTH(NLMSG_ALIGN(sizeof route));
       at + sizeof(rtattr) <= static_cast<std::size_t>(size);) {
    rtattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute) break;
    if (attribute.rta_type == RTA_OIF) {
      std::uint32_t index = 0;
      std::array<char, IF_NAMESIZE> name{};
      std::memcpy(&index, answer.data() + at + sizeof attribute, sizeof index);
      return if_indextoname(index, name.data()) ? std::optional<std::string>(name.data()) : std::nullopt;
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

}  // namespace cortexflow
