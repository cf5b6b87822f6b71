// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/xdp_driver.h"

#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "agent/base/fd.h"

namespace cortexflow::kernel {
namespace {

constexpr __u64 kNdoXmit = 4;  // NETDEV_XDP_ACT_NDO_XMIT of linux/netdev.h, since 6.3

}  // namespace

bool is_veth(const std::string& interface) {
  const Fd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  interface.copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&driver);
  return probe && ioctl(probe.get(), SIOCETHTOOL, &request) == 0 &&
         std::strcmp(static_cast<const char*>(driver.driver), "veth") == 0;
}

bool takes_xdp_frames(const std::string& interface, bool native) {
  bpf_xdp_query_opts options{};
  options.sz = sizeof options;
  const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (bpf_xdp_query(index, 0, &options) == 0 && options.feature_flags != 0) {
    return (options.feature_flags & kNdoXmit) != 0;
  }
  return native && !is_veth(interface);  // a kernel that doesn't tell: who runs XDP takes it too, but for veths
}

}  // namespace cortexflow::kernel
