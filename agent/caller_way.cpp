// SPDX-License-Identifier: Apache-2.0
#include "agent/caller_way.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/netlink_lookup.h"

namespace cortexflow {
namespace {

struct PacketWay {
  bool served = false;
  std::string says;  // empty: no interface is served
};

PacketWay packet_way(const FoundCaller& caller, const kernel::Redirect* redirect) {
  if (!redirect) return {};
  std::vector<kernel::Redirect::Interface> served;
  for (auto& interface : redirect->interfaces()) {
    if (interface.problem.empty()) served.push_back(std::move(interface));
  }
  std::vector<std::string> names;
  names.reserve(served.size());
  for (const auto& interface : served) names.push_back(interface.name);
  const auto all = names.empty() ? std::string("none now") : fmt::format("{}", fmt::join(names, ", "));
  if (caller.addresses.empty()) {
    return {false, fmt::format("its address is not known: its packets are served where it is behind one of the "
                               "interfaces that are ({})",
                               all)};
  }
  std::string where;
  for (const auto& address : caller.addresses) {
    const auto towards = route_towards(address);
    where += fmt::format("{}{} is behind {}", where.empty() ? "" : ", ", address.to_string(),
                         towards.value_or("no interface"));
    if (!towards) continue;
    for (const auto& interface : served) {
      const auto* hook = kernel::tc_hook_name(interface.hook);
      if (interface.name == *towards) {
        return {true, fmt::format("{}, where its packets are translated ({})", where, hook)};
      }
      if (master_of(interface.name) == towards) {  // a port sees what comes from behind it before its bridge does
        return {true, fmt::format("{}, whose port {} is served ({}): its packets are translated if they come in there",
                                  where, interface.name, hook)};
      }
    }
  }
  return {false, fmt::format("{}: that is none of the interfaces whose packets are served ({})", where, all)};
}

}  // namespace

CallerWay way_of(const FoundCaller& caller, const kernel::ServiceTables& tables, const kernel::Redirect* redirect,
                 const std::string& cgroup_root) {
  CallerWay out;
  const auto say = [&](const char* what, std::string words) { out.steps.push_back({what, std::move(words), ""}); };
  std::vector<std::string> missing;
  for (const auto& hook : tables.hooks()) {
    if (!hook.attached) missing.push_back(hook.program);
  }
  const bool connects =
      std::none_of(missing.begin(), missing.end(), [](const auto& name) { return name.starts_with("svc_connect"); });
  if (!missing.empty()) {
    say("hook", fmt::format("not attached to {}: {}", cgroup_root, fmt::join(missing, ", ")));
  }
  const bool cgroup_known = !caller.cgroup.empty();
  if (cgroup_known && connects && is_below(caller.cgroup, cgroup_root)) {
    say("hook",
        fmt::format("svc_connect4, svc_connect6 and the others at {} see it: it is in {}", cgroup_root, caller.cgroup));
    out.by = CallerWay::By::kSockets;
    return out;
  }
  auto packets = packet_way(caller, redirect);
  if (cgroup_known) {
    say("hook", fmt::format("none at {} sees it: it is in {}", cgroup_root, caller.cgroup));
    out.by = packets.served ? CallerWay::By::kPackets : CallerWay::By::kNobody;
  } else if (caller.netns.empty() && packets.served) {
    say("hook", "none, where its sockets are another kernel's: nothing of it is known here but its address");
    out.by = CallerWay::By::kPackets;
  } else {
    say("hook", fmt::format("seen if its cgroup is below {}: that is not known", cgroup_root));
    out.by = connects ? CallerWay::By::kSockets : CallerWay::By::kNobody;
  }
  if (!packets.says.empty()) say("packet", std::move(packets.says));
  return out;
}

}  // namespace cortexflow
