// SPDX-License-Identifier: Apache-2.0
#include "agent/edge_interfaces.h"

#include <fstream>
#include <utility>

namespace cortexflow {
namespace {

kernel::XdpMode mode_of(const std::string& name) {
  if (name == "native") return kernel::XdpMode::kNative;
  return name == "generic" ? kernel::XdpMode::kGeneric : kernel::XdpMode::kNativeOrGeneric;
}

}  // namespace

EdgeInterfaces::EdgeInterfaces(const source::EdgeSettings& settings)
    : names_(settings.interfaces), mode_(mode_of(settings.mode)) {}

void EdgeInterfaces::check(kernel::EdgeTables& tables, bool v4, bool v6) {
  for (const auto& name : names_) {
    const auto& one = interfaces_[name];
    if (one.failure.empty() && tables.is_attached(name)) continue;
    if (one.failure.empty()) tables.detach(name);
    attach(tables, name);
  }
  remarks_.clear();
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
  for (const auto& [name, one] : interfaces_) {
    if (!one.failure.empty()) continue;
    out += fmt::format("{}{} ({})", out.empty() ? "xdp " : ", ", name, one.how.native ? "native" : "generic");
  }
  return out;
}

std::vector<std::string> EdgeInterfaces::failures() const {
  std::vector<std::string> out;
  for (const auto& [name, one] : interfaces_) {
    if (!one.failure.empty()) out.push_back(one.failure);
  }
  return out;
}

}  // namespace cortexflow
