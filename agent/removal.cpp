// SPDX-License-Identifier: Apache-2.0
#include "agent/removal.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "agent/kernel/edge_tables.h"
#include "agent/kernel/interface_watch.h"
#include "agent/kernel/own_pins.h"
#include "agent/kernel/redirect.h"

namespace cortexflow {

Result<std::vector<std::string>> remove_left(const std::string& pin_path) {
  // Filters of clsact (before Linux 6.6) hang on no pin.
  for (const auto& interface : kernel::InterfaceWatch::list()) kernel::Redirect::detach(interface.index, pin_path);
  kernel::EdgeTables::detach_ways_out(pin_path, {});
  std::error_code error;
  std::vector<std::filesystem::path> own;
  std::vector<std::string> others;
  for (std::filesystem::directory_iterator at(pin_path, error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string();
    if (kernel::is_own_pin(name)) {
      own.push_back(at->path());
    } else {
      others.push_back(name);
    }
  }
  if (error) return fail("cannot list {}: {}", pin_path, error.message());
  for (const auto& path : own) {
    std::filesystem::remove(path, error);  // a link that is unpinned, and that nobody holds, detaches
    if (error) return fail("cannot remove {}: {}", path.string(), error.message());
  }
  if (others.empty()) std::filesystem::remove(pin_path, error);
  if (error) return fail("cannot remove {}: {}", pin_path, error.message());
  std::sort(others.begin(), others.end());
  return others;
}

std::vector<control::FunctionStatus> left_functions(const std::string& pin_path) {
  // By how the programs' links are named: ServiceTables, EdgeTables, PolicyTables, Redirect.
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kPrefixes{
      {{"svc_", "services"}, {"redirect_if", "services by packet"}, {"edge_", "edge"}, {"policy_", "policy"}}};
  std::set<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(pin_path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    for (const auto& [prefix, function] : kPrefixes) {
      const bool is_link = name.ends_with("_link") || prefix == "redirect_if";
      if (name.starts_with(prefix) && is_link) found.insert(function);
    }
  }
  std::vector<control::FunctionStatus> out;
  out.reserve(found.size());
  for (const auto& function : found) {
    out.push_back({function, "of an agent before", true,
                   "goes on as that one left it, and nobody follows changes: set manifests or kubeconfig, or stop this "
                   "agent and run cfagent --remove"});
  }
  return out;
}

}  // namespace cortexflow
