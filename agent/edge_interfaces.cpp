// SPDX-License-Identifier: Apache-2.0
#include "agent/edge_interfaces.h"

#include <fnmatch.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <utility>

#include "agent/kernel/default_routes.h"
#include "agent/kernel/interface_watch.h"
#include "agent/kernel/xdp_driver.h"

namespace cortexflow {
namespace {

constexpr const char* kAuto = "auto";
constexpr std::size_t kInterfacesMax = 64;
constexpr std::chrono::seconds kRoutesEvery{10};  // they are all read: routers may have very many

kernel::XdpMode mode_of(const std::string& name) {
  if (name == "native") return kernel::XdpMode::kNative;
  return name == "generic" ? kernel::XdpMode::kGeneric : kernel::XdpMode::kNativeOrGeneric;
}

}  // namespace

EdgeInterfaces::EdgeInterfaces(const source::EdgeSettings& settings)
    : wanted_(settings.interfaces), mode_(mode_of(settings.mode)) {
  static_cast<void>(find());
}

void EdgeInterfaces::find_routed() {
  if (std::find(wanted_.begin(), wanted_.end(), kAuto) == wanted_.end()) return;
  const auto found = kernel::default_route_interfaces();
  unrouted_.clear();
  if (found && !found->empty()) {
    routed_.assign(found->begin(), found->end());
    return;
  }
  unrouted_ = (found ? "no interface has a default route" : found.error().to_string()) +
              (routed_.empty() ? ": set edge.interfaces" : ": the edge stays where it was");
}

bool EdgeInterfaces::find() {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  unmatched_.clear();
  const auto present = kernel::InterfaceWatch::list();
  if (present.empty()) return false;  // not even loopback: it could not be asked
  const auto now = Clock::now();
  if (std::exchange(present_, present.size()) != present.size() || now >= next_routes_) {
    next_routes_ = now + kRoutesEvery;
    find_routed();
  }
  for (const auto& wanted : wanted_) {
    const auto before = names.size();
    if (wanted == kAuto) {
      if (!unrouted_.empty()) unmatched_.push_back(unrouted_);
      for (const auto& name : routed_) add(name);
    } else if (wanted.find_first_of("*?[") == std::string::npos) {
      add(wanted);
    } else {
      for (const auto& one : present) {
        if (fnmatch(wanted.c_str(), one.name.c_str(), 0) == 0) add(one.name);
      }
      if (names.size() == before) unmatched_.push_back(fmt::format("no interface is called {}", wanted));
    }
  }
  if (names.size() > kInterfacesMax) {
    unmatched_.push_back(fmt::format("{} interfaces match, the first {} are served", names.size(), kInterfacesMax));
    names.resize(kInterfacesMax);
  }
  return std::exchange(names_, std::move(names)) != names_;
}

void EdgeInterfaces::check(kernel::EdgeTables& tables, bool v4, bool v6) {
  if (!looked_ && unmatched_.empty()) {  // else some of what is there may be meant
    looked_ = true;
    tables.detach_others({names_.begin(), names_.end()});
  }
  std::erase_if(interfaces_, [&](const auto& item) {
    if (std::find(names_.begin(), names_.end(), item.first) != names_.end()) return false;
    tables.detach(item.first);
    return true;
  });
  judge_drivers(tables);
  for (const auto& name : names_) {
    // The first time, a link may be pinned from an agent before: that is taken over, not taken away.
    const auto known = interfaces_.find(name);
    const bool was_on = known != interfaces_.end() && known->second.failure.empty();
    if (!was_on || !tables.is_attached(name)) attach(tables, name);
  }
  judge_drivers(tables);
  remarks_ = unmatched_;
  remarks_.insert(remarks_.end(), drivers_.begin(), drivers_.end());
  for (const auto& [name, one] : interfaces_) {
    if (!one.failure.empty()) continue;
    remarks_.insert(remarks_.end(), one.how.remarks.begin(), one.how.remarks.end());
    if (v4) note_forwarding(name, "ipv4");
    if (v6) note_forwarding(name, "ipv6");
  }
}

// A failure is an error when it comes, not each time that it is still there.
void EdgeInterfaces::attach(kernel::EdgeTables& tables, const std::string& interface) {
  auto& one = interfaces_[interface];
  auto attached = tables.attach(interface, mode_);
  if (attached) {
    one = {std::move(*attached), {}};
    return;
  }
  auto words = attached.error().to_string();
  if (words != one.failure) errors_.push_back(std::move(attached.error()));
  one.failure = std::move(words);
}

// Of veths it is known before they are attached, which spares the others a change.
void EdgeInterfaces::judge_drivers(kernel::EdgeTables& tables) {
  if (mode_ == kernel::XdpMode::kGeneric) return;
  drivers_.clear();
  std::vector<std::string> native;
  bool all_on = true;
  for (const auto& name : names_) {
    const auto found = interfaces_.find(name);
    const bool on = found != interfaces_.end() && found->second.failure.empty();
    const bool in_driver = on && found->second.how.native;
    const bool veth = kernel::is_veth(name);
    all_on = all_on && on;
    if (in_driver) native.push_back(name);
    const bool sends_elsewhere = names_.size() > 1;  // XDP_TX takes no more than the program itself, but of a veth
    if ((!veth && !(on && sends_elsewhere)) || kernel::takes_xdp_frames(name, in_driver)) continue;
    drivers_.push_back(fmt::format("{} drops what XDP sends to it from a driver{}", name,
                                   veth ? ": its other end has neither GRO (ethtool -K DEV gro on, there) nor an XDP "
                                          "program, or this kernel doesn't say whether it has"
                                        : ""));
  }
  if (drivers_.empty()) return;
  if (mode_ == kernel::XdpMode::kNative) {
    drivers_.emplace_back("calls that go there fail: switch that on, or set edge.mode: auto or generic");
    return;
  }
  if (native.empty() && all_on) return drivers_.clear();  // none sends from a driver
  drivers_.emplace_back("packets take the slower, generic way until the agent starts again");
  mode_ = kernel::XdpMode::kGeneric;
  for (const auto& name : native) {
    tables.detach(name);
    attach(tables, name);
  }
}

void EdgeInterfaces::note_forwarding(const std::string& interface, const std::string& family) {
  const auto sysctl = fmt::format("net/{}/conf/{}/forwarding", family, interface);
  std::ifstream file("/proc/sys/" + sysctl);
  int value = 0;
  if ((file >> value) && value != 0) return;
  remarks_.push_back(
      fmt::format("sysctl {} is off: {} packets to frontends that come in there are dropped (not_forwarding); set it",
                  sysctl, family));
}

std::vector<Error> EdgeInterfaces::take_errors() { return std::exchange(errors_, {}); }

std::string EdgeInterfaces::hook() const {
  std::string out;
  std::set<std::string> ways_out;
  for (const auto& [name, one] : interfaces_) {
    if (!one.failure.empty()) continue;
    out += fmt::format("{}{} ({})", out.empty() ? "xdp " : ", ", name, one.how.native ? "native" : "generic");
    ways_out.insert(kernel::tc_hook_name(one.how.out));
  }
  return out.empty() ? out : fmt::format("{}; {} egress", out, fmt::join(ways_out, ", "));
}

std::vector<std::string> EdgeInterfaces::failures() const {
  std::vector<std::string> out;
  for (const auto& [name, one] : interfaces_) {
    if (!one.failure.empty()) out.push_back(one.failure);
  }
  return out;
}

}  // namespace cortexflow
