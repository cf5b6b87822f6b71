// SPDX-License-Identifier: Apache-2.0
// The interfaces by which this network namespace reaches everything that it has no other way to.
#pragma once

#include <istream>
#include <set>
#include <string>

namespace cortexflow::kernel {

// Those of the main table's default routes, of both families.
[[nodiscard]] std::set<std::string> default_route_interfaces();

// From what /proc/net/route and /proc/net/ipv6_route say (net/ipv4/fib_trie.c, net/ipv6/route.c). Lines that can't be
// read are passed over, as are routes that refuse.
void add_default_routes4(std::istream& routes, std::set<std::string>& interfaces);
void add_default_routes6(std::istream& routes, std::set<std::string>& interfaces);

}  // namespace cortexflow::kernel
