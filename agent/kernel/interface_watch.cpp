// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/interface_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>

namespace cortexflow::kernel {

Result<InterfaceWatch> InterfaceWatch::open(Watched what) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = what == Watched::kInterfaces ? RTMGRP_LINK : RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("cannot watch the network interfaces and their addresses", errno);
  }
  return InterfaceWatch(std::move(fd));
}

bool InterfaceWatch::changed() {
  std::array<char, 16384> messages{};  // what they say is read anew from the kernel
  bool any = false;
  for (;;) {
    const auto size = recv(socket_.get(), messages.data(), messages.size(), 0);
    if (size < 0 && errno != ENOBUFS && errno != EINTR) return any;
    any = true;
  }
}

std::vector<NetworkInterface> InterfaceWatch::list() {
  std::vector<NetworkInterface> out;
  struct if_nameindex* all = if_nameindex();
  if (!all) return out;
  for (const auto* one = all; one->if_index != 0; ++one) {
    out.push_back({static_cast<int>(one->if_index), one->if_name});
  }
  if_freenameindex(all);
  return out;
}

bool is_ethernet(const std::string& interface) {
  const Fd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
  return probe && ioctl(probe.get(), SIOCGIFHWADDR, &request) == 0 && request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

}  // namespace cortexflow::kernel
