// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink_lookup.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "agent/base/fd.h"
#include "agent/base/octets.h"

namespace cortexflow {
namespace {

// One message there, and the first one back; empty: there is none.  An interface's has a few kB.
std::string exchange(std::uint16_t type, const std::string& body, std::uint16_t flags = 0) {
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  nlmsghdr header{};
  header.nlmsg_len = static_cast<__u32>(sizeof header + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | flags);
  const auto message = octets_of(header) + body;
  if (!netlink || send(netlink.get(), message.data(), message.size(), 0) < 0) return {};
  constexpr std::size_t kAnswerMax = 32768;
  std::string got(kAnswerMax, '\0');
  const auto size = recv(netlink.get(), got.data(), got.size(), 0);
  if (size < static_cast<ssize_t>(sizeof header)) return {};
  return got.substr(0, static_cast<std::size_t>(size));
}

// The answer if it is an `answer`; empty: it isn't.
std::string ask(std::uint16_t type, const std::string& body, std::uint16_t answer) {
  auto got = exchange(type, body);
  nlmsghdr header{};
  if (!got.empty()) std::memcpy(&header, got.data(), sizeof header);
  return header.nlmsg_type == answer ? got : std::string();
}

// The attribute's octets, `size` at least; `fixed` octets are before the attributes.
std::optional<std::string> attribute_in(const std::string& message, std::size_t fixed, std::uint16_t wanted,
                                        std::size_t size) {
  for (std::size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(fixed); at + sizeof(rtattr) <= message.size();) {
    rtattr attribute{};
    std::memcpy(&attribute, message.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute) break;
    if (attribute.rta_type == wanted && attribute.rta_len >= sizeof attribute + size &&
        at + attribute.rta_len <= message.size()) {
      return message.substr(at + sizeof attribute, attribute.rta_len - sizeof attribute);
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

// The attribute's value where it is the index of an interface; 0: it is not there.
std::uint32_t index_in(const std::string& message, std::size_t fixed, std::uint16_t wanted) {
  std::uint32_t index = 0;
  if (const auto octets = attribute_in(message, fixed, wanted, sizeof index))
    std::memcpy(&index, octets->data(), sizeof index);
  return index;
}

std::optional<std::string> name_of(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return if_indextoname(index, name.data()) ? std::optional<std::string>(name.data()) : std::nullopt;
}

std::size_t size_of(const model::IpAddress& address) { return address.is_v4() ? 4 : address.octets.size(); }

// As an attribute; IPv4 addresses are the last four of their octets.
std::string attribute_of(std::uint16_t type, const model::IpAddress& address) {
  const std::size_t size = size_of(address);
  const rtattr head{static_cast<unsigned short>(sizeof(rtattr) + size), type};
  return octets_of(head) + std::string(address.octets.end() - static_cast<std::ptrdiff_t>(size), address.octets.end());
}

model::IpAddress address_of(const std::string& octets, bool v4) {
  model::IpAddress out;
  if (v4) out.octets[10] = out.octets[11] = 0xff;
  std::memcpy(out.octets.data() + (v4 ? 12 : 0), octets.data(), v4 ? 4 : out.octets.size());
  return out;
}

// The route that a packet of this machine's to the address takes; empty: none leads out.
std::string route_to(const model::IpAddress& address) {
  rtmsg route{};
  route.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  route.rtm_dst_len = static_cast<unsigned char>(size_of(address) * 8);
  auto answer = ask(RTM_GETROUTE, octets_of(route) + attribute_of(RTA_DST, address), RTM_NEWROUTE);
  if (answer.size() < NLMSG_HDRLEN + sizeof route) return {};
  std::memcpy(&route, answer.data() + NLMSG_HDRLEN, sizeof route);
  return route.rtm_type == RTN_UNICAST ? answer : std::string();
}

}  // namespace

std::optional<std::string> route_towards(const model::IpAddress& address) {
  return name_of(index_in(route_to(address), sizeof(rtmsg), RTA_OIF));
}

std::optional<NextHop> next_hop_towards(const model::IpAddress& address) {
  const auto route = route_to(address);
  const auto interface = index_in(route, sizeof(rtmsg), RTA_OIF);
  if (interface == 0) return std::nullopt;
  NextHop hop{static_cast<int>(interface), address};
  const std::size_t size = size_of(address);
  if (const auto gateway = attribute_in(route, sizeof(rtmsg), RTA_GATEWAY, size)) {
    hop.address = address_of(*gateway, address.is_v4());
  } else if (const auto via = attribute_in(route, sizeof(rtmsg), RTA_VIA, sizeof(std::uint16_t) + 16)) {
    hop.address = address_of(via->substr(sizeof(std::uint16_t)), false);  // RFC 8950: IPv4 by an IPv6 router
  }
  return hop;
}

Result<void> ask_for_neighbour(const NextHop& hop) {
  ndmsg neighbour{};
  neighbour.ndm_family = hop.address.is_v4() ? AF_INET : AF_INET6;
  neighbour.ndm_ifindex = hop.interface;
  neighbour.ndm_flags = NTF_USE;
  const auto answer =
      exchange(RTM_NEWNEIGH, octets_of(neighbour) + attribute_of(NDA_DST, hop.address), NLM_F_CREATE | NLM_F_ACK);
  nlmsgerr result{};
  if (answer.size() < NLMSG_HDRLEN + sizeof result.error) return fail("the kernel doesn't answer");
  std::memcpy(&result.error, answer.data() + NLMSG_HDRLEN, sizeof result.error);
  if (result.error == 0) return {};
  return fail_errno(fmt::format("cannot ask for the link address of {}", hop.address.to_string()), -result.error,
                    result.error == -ENOBUFS ? "the neighbour table is full: raise net.ipv4.neigh.default.gc_thresh3 "
                                               "or net.ipv6.neigh.default.gc_thresh3"
                                             : "");
}

std::optional<std::string> master_of(const std::string& interface) {
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (link.ifi_index == 0) return std::nullopt;
  return name_of(index_in(ask(RTM_GETLINK, octets_of(link), RTM_NEWLINK), sizeof link, IFLA_MASTER));
}

}  // namespace cortexflow
