// SPDX-License-Identifier: Apache-2.0
#include "agent/node_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace cortexflow {
namespace {

Result<std::vector<InterfaceAddress>> list_addresses() {
  std::vector<InterfaceAddress> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return fail_errno("cannot list this machine's addresses", errno);
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

}  // namespace

Result<NodeAddresses> NodeAddresses::open() {
  // First, so that what comes while they are listed is heard.
  auto watch = kernel::InterfaceWatch::open(kernel::Watched::kAddresses);
  if (!watch) return tl::make_unexpected(std::move(watch.error()));
  NodeAddresses out(std::move(*watch));
  auto all = list_addresses();
  if (!all) return tl::make_unexpected(std::move(all.error()));
  out.all_ = std::move(*all);
  return out;
}

Result<bool> NodeAddresses::poll(Clock::time_point now) {
  if (!watch_.changed() && now < retry_) return false;
  auto all = list_addresses();
  if (!all) {
    retry_ = now + std::chrono::seconds(1);
    return tl::make_unexpected(std::move(all.error()).wrap("node ports stay at the addresses that were there"));
  }
  retry_ = Clock::time_point::max();
  if (*all == all_) return false;
  all_ = std::move(*all);
  return true;
}

std::vector<model::IpAddress> NodeAddresses::distinct() const {
  std::vector<model::IpAddress> out;
  for (const auto& one : all_) {
    if (std::find(out.begin(), out.end(), one.address) == out.end()) out.push_back(one.address);
  }
  return out;
}

}  // namespace cortexflow
