// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/default_routes.h"

#include <net/route.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>

namespace cortexflow::kernel {
namespace {

// net/route.h: up, and no "unreachable".
bool leads_somewhere(std::uint32_t flags) { return (flags & RTF_UP) != 0 && (flags & RTF_REJECT) == 0; }

bool is_zero(const std::string& digits) {
  return !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char digit) { return digit == '0'; });
}

}  // namespace

void add_default_routes4(std::istream& routes, std::set<std::string>& interfaces) {
  for (std::string line; std::getline(routes, line);) {
    std::istringstream fields(line);
    std::string interface, destination, gateway, references, use, metric, mask;
    std::uint32_t flags = 0;
    if (!(fields >> interface >> destination >> gateway >> std::hex >> flags >> references >> use >> metric >> mask)) {
      continue;
    }
    if (is_zero(destination) && is_zero(mask) && leads_somewhere(flags)) interfaces.insert(interface);
  }
}

void add_default_routes6(std::istream& routes, std::set<std::string>& interfaces) {
  for (std::string line; std::getline(routes, line);) {
    std::istringstream fields(line);
    std::string destination, length, source, source_length, gateway, metric, references, use, interface;
    std::uint32_t flags = 0;
    if (!(fields >> destination >> length >> source >> source_length >> gateway >> metric >> references >> use >>
          std::hex >> flags >> interface)) {
      continue;
    }
    // The kernel's own "nowhere" is a default route of loopback's.
    if (is_zero(destination) && is_zero(length) && leads_somewhere(flags) && interface != "lo") {
      interfaces.insert(interface);
    }
  }
}

std::set<std::string> default_route_interfaces() {
  std::set<std::string> out;
  std::ifstream v4("/proc/net/route"), v6("/proc/net/ipv6_route");
  add_default_routes4(v4, out);
  add_default_routes6(v6, out);
  return out;
}

}  // namespace cortexflow::kernel
