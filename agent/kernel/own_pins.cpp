// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/own_pins.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "dns.skel.h"
#include "edge.skel.h"
#include "policy.skel.h"
#include "redirect.skel.h"
#include "service.skel.h"
#include "tcp.skel.h"

namespace cortexflow::kernel {
namespace {

// DnsTracer pins its programs, the others links of theirs.
enum class Pinned { kPrograms, kLinks, kMapsAlone };

void add_names(const bpf_object* object, Pinned pinned, std::set<std::string, std::less<>>& names) {
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!bpf_map__is_internal(map)) names.insert(bpf_map__name(map));
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    if (pinned == Pinned::kPrograms) names.insert(bpf_program__name(program));
    if (pinned == Pinned::kLinks) names.insert(std::string(bpf_program__name(program)) + "_link");
  }
}

std::set<std::string, std::less<>> fixed_names() {
  std::set<std::string, std::less<>> names;
  const auto add = [&](auto* skeleton, Pinned pinned, void (*destroy)(decltype(skeleton))) {
    if (skeleton) add_names(skeleton->obj, pinned, names);
    destroy(skeleton);
  };
  add(dns_bpf__open(), Pinned::kPrograms, dns_bpf__destroy);
  add(service_bpf__open(), Pinned::kLinks, service_bpf__destroy);
  add(tcp_bpf__open(), Pinned::kLinks, tcp_bpf__destroy);
  add(policy_bpf__open(), Pinned::kLinks, policy_bpf__destroy);
  add(redirect_bpf__open(), Pinned::kMapsAlone, redirect_bpf__destroy);
  add(edge_bpf__open(), Pinned::kMapsAlone, edge_bpf__destroy);
  return names;
}

// "redirect_if12_ingress", "edge_if12_egress" (tc_hook.cpp)
bool is_of_interface_index(std::string_view name) {
  constexpr std::array<std::string_view, 2> kBefore{"redirect_if", "edge_if"};
  const auto* before = std::find_if(kBefore.begin(), kBefore.end(), [&](auto one) { return name.starts_with(one); });
  if (before == kBefore.end()) return false;
  name.remove_prefix(before->size());
  const auto digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const auto side = name.substr(digits);
  return digits > 0 && (side == "_ingress" || side == "_egress");
}

// "edge_eth0_link" (edge_tables.cpp)
bool is_of_interface_name(std::string_view name) {
  constexpr std::string_view kBefore = "edge_", kAfter = "_link";
  return name.starts_with(kBefore) && name.ends_with(kAfter) && name.size() > kBefore.size() + kAfter.size();
}

}  // namespace

bool is_own_pin(std::string_view name) {
  static const auto kFixed = fixed_names();
  return kFixed.contains(name) || is_of_interface_index(name) || is_of_interface_name(name);
}

}  // namespace cortexflow::kernel
