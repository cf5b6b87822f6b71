// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/veth_links.h"

#include <fcntl.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/octets.h"
#include "agent/kernel/rtnetlink.h"

namespace cortexflow::kernel {
namespace {

// By the number that this namespace has for it, the name under which it is kept.
std::map<int, std::string> named_namespaces(int netlink) {
  std::map<int, std::string> out;
  std::error_code ignored;
  std::string answer(kNetlinkAnswerMax, '\0');
  for (const char* folder : {"/run/netns", "/run/docker/netns"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      const Fd netns(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
      if (!netns) continue;
      const rtattr head{static_cast<unsigned short>(sizeof(rtattr) + sizeof(int)), NETNSA_FD};
      const auto request =
          request_of(RTM_GETNSID, 0,
                     octets_of(rtgenmsg{AF_UNSPEC}) + std::string(3, '\0') + octets_of(head) + octets_of(netns.get()));
      if (send(netlink, request.data(), request.size(), 0) < 0) continue;
      const auto size = recv(netlink, answer.data(), answer.size(), 0);
      constexpr std::size_t kFixed = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(rtgenmsg));
      if (size < static_cast<ssize_t>(kFixed)) continue;
      const auto id = value_in<int>(
          attributes_of(std::string_view(answer).substr(kFixed, static_cast<std::size_t>(size) - kFixed)), NETNSA_NSID);
      if (id && *id >= 0) out.emplace(*id, entry.path().filename());
    }
  }
  return out;
}

std::optional<VethLink> link_of(std::string_view message, const std::map<int, std::string>& namespaces) {
  ifinfomsg info{};
  if (message.size() < sizeof info) return std::nullopt;
  message.copy(reinterpret_cast<char*>(&info), sizeof info);
  const auto attributes = attributes_of(message.substr(NLMSG_ALIGN(sizeof info)));
  const auto kind = attributes.find(IFLA_LINKINFO);
  if (kind == attributes.end() || text_in(attributes_of(kind->second), IFLA_INFO_KIND) != "veth") return std::nullopt;
  VethLink out;
  out.index = info.ifi_index;
  out.name = text_in(attributes, IFLA_IFNAME);
  out.up = (info.ifi_flags & IFF_UP) != 0 && (info.ifi_flags & IFF_RUNNING) != 0;
  out.peer_index = value_in<int>(attributes, IFLA_LINK).value_or(0);
  const auto nsid = value_in<int>(attributes, IFLA_LINK_NETNSID);
  out.peer_is_here = !nsid;
  if (const auto named = nsid ? namespaces.find(*nsid) : namespaces.end(); named != namespaces.end())
    out.peer_netns = named->second;
  std::array<char, IF_NAMESIZE> master{};
  const auto index = value_in<std::uint32_t>(attributes, IFLA_MASTER).value_or(0);
  if (index != 0 && if_indextoname(index, master.data())) out.master = master.data();
  // Newer kernels have more fields.
  struct Counted {
    std::uint64_t received, sent, received_bytes, sent_bytes, received_errors, sent_errors, received_dropped,
        sent_dropped;
  };
  if (const auto counted = value_in<Counted>(attributes, IFLA_STATS64)) {
    out.received_packets = counted->received;
    out.sent_packets = counted->sent;
    out.received_bytes = counted->received_bytes;
    out.sent_bytes = counted->sent_bytes;
    out.received_dropped = counted->received_dropped;
    out.sent_dropped = counted->sent_dropped;
  }
  return out;
}

}  // namespace

Result<std::vector<VethLink>> list_veths() {
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return fail_errno("cannot ask for the network interfaces", errno);
  const auto namespaces = named_namespaces(netlink.get());
  std::vector<VethLink> out;
  auto dumped = dump(netlink.get(), RTM_GETLINK, octets_of(ifinfomsg{}), [&](std::string_view message) {
    if (auto link = link_of(message, namespaces)) out.push_back(std::move(*link));
  });
  if (!dumped) return tl::make_unexpected(std::move(dumped.error()).wrap("network interfaces"));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

}  // namespace cortexflow::kernel
