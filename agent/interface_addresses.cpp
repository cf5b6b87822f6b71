// SPDX-License-Identifier: Apache-2.0
#include "agent/interface_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>

namespace cortexflow {

std::vector<InterfaceAddress> interface_addresses() {
  std::vector<InterfaceAddress> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const auto* one = list; one; one = one->ifa_next) {
    if (!one->ifa_addr) continue;
    model::IpAddress address;
    if (one->ifa_addr->sa_family == AF_INET) {
      const auto* in = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      if (ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) continue;
      address.octets[10] = address.octets[11] = 0xff;
      std::memcpy(address.octets.data() + 12, &in->sin_addr, 4);
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      const auto* in = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      if (IN6_IS_ADDR_LOOPBACK(&in->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr)) continue;
      std::memcpy(address.octets.data(), &in->sin6_addr, 16);
    } else {
      continue;
    }
    out.push_back({one->ifa_name, address});
  }
  freeifaddrs(list);
  return out;
}

}  // namespace cortexflow
