// SPDX-License-Identifier: Apache-2.0
#include "agent/caller.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "agent/kernel/host.h"
#include "agent/kernel/namespaces.h"
#include "agent/kernel/process.h"

namespace cortexflow {
namespace {

constexpr std::size_t kCgroupLevels = 12;  // CGROUP_LEVELS of bpf/lib/service_choice.h

std::string mount_point() { return kernel::find_cgroup_root("").value_or(""); }

std::string canonical(const std::string& path) {
  std::error_code error;
  auto real = std::filesystem::canonical(path, error).string();
  return error ? path : real;
}

Result<FoundCaller> process(const std::string& text) {
  std::uint32_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size()) return fail("pid:{}: expected a number", text);
  auto path = kernel::cgroup_of_process(pid);
  if (!path) return tl::make_unexpected(std::move(path.error()));
  FoundCaller found;
  found.name = fmt::format("process {}", pid);
  found.cgroup = canonical(mount_point() + *path);
  found.netns = kernel::netns_of_process(pid);
  return found;
}

Result<FoundCaller> cgroup(const std::string& text, const std::string& cgroup_root) {
  FoundCaller found;
  found.name = "cgroup " + text;
  for (const auto& directory : {text, cgroup_root + "/" + text}) {
    std::error_code error;
    if (!directory.starts_with('/') || !std::filesystem::exists(directory + "/cgroup.procs", error)) continue;
    found.cgroup = canonical(directory);
    break;
  }
  if (found.cgroup.empty()) return fail("there is no cgroup {}, neither as a path nor below {}", text, cgroup_root);
  if (const auto pid = kernel::process_in_cgroup(found.cgroup)) {
    found.netns = kernel::netns_of_process(*pid);
    found.notes.push_back(fmt::format("its process {} says which network namespace it is in", *pid));
  } else {
    found.notes.emplace_back("no process is in it: its network namespace is not known");
  }
  return found;
}

// Where its annotations say it is; what they leave open, one of its processes says.
FoundCaller pod_caller(const std::shared_ptr<const model::Pod>& pod, const std::string& cgroup_root) {
  FoundCaller found;
  found.name = fmt::format("pod {}/{}", pod->name.ns, pod->name.name);
  found.pod = pod;
  found.addresses = pod->addresses;
  if (!pod->cgroup.empty()) found.cgroup = canonical(cgroup_root + "/" + pod->cgroup);
  if (!pod->netns.empty()) found.netns = kernel::netns_path(pod->netns);
  if (found.cgroup.empty() && found.netns.empty()) {
    found.notes.emplace_back(
        "its manifest has neither cortexflow.io/cgroup nor cortexflow.io/netns: the kernel can't tell it by its "
        "sockets");
  } else if (found.cgroup.empty()) {
    if (const auto pid = kernel::process_in_netns(found.netns)) {
      found.cgroup = canonical(mount_point() + kernel::cgroup_of_process(*pid).value_or(""));
      found.notes.push_back(fmt::format("its process {} says which cgroup it is in", *pid));
    } else {
      found.notes.emplace_back("no process is in its network namespace now: its cgroup is not known");
    }
  } else if (found.netns.empty()) {
    if (const auto pid = kernel::process_in_cgroup(found.cgroup)) found.netns = kernel::netns_of_process(*pid);
  }
  return found;
}

std::shared_ptr<const model::Pod> pod_with(const model::IpAddress& address, const state::Snapshot& snapshot) {
  std::shared_ptr<const model::Pod> found;
  snapshot.pods.for_each([&](const auto& pod) {
    const auto& all = pod->addresses;
    if (std::find(all.begin(), all.end(), address) != all.end()) found = pod;
  });
  return found;
}

}  // namespace

Result<FoundCaller> find_caller(const std::string& text, const state::Snapshot& snapshot, const CallersPlace& place) {
  const auto& cgroup_root = place.cgroup_root;
  if (text.starts_with("pid:")) return process(text.substr(4));
  if (text.starts_with("cgroup:")) return cgroup(text.substr(7), cgroup_root);
  if (const auto address = model::IpAddress::parse(text)) {
    if (const auto pod = pod_with(*address, snapshot)) return pod_caller(pod, cgroup_root);
    FoundCaller found;
    found.name = text;
    found.addresses = {*address};
    if (std::find(place.addresses.begin(), place.addresses.end(), *address) != place.addresses.end()) {
      found.netns = "/proc/self/ns/net";
      found.notes.emplace_back("no pod has this address; it is this machine's, in the agent's own network namespace");
      return found;
    }
    found.notes.emplace_back("no pod of the manifests has this address");
    return found;
  }
  const auto slash = text.find('/');
  const auto pod = slash == std::string::npos
                       ? nullptr
                       : snapshot.pods.find(model::ObjectName{text.substr(0, slash), text.substr(slash + 1)});
  if (pod) return pod_caller(pod, cgroup_root);
  return tl::make_unexpected(
      Error{fmt::format("there is no pod {} in the manifests", text),
            "name a pod (NAMESPACE/NAME), its address, a process (pid:NUMBER) or a cgroup (cgroup:PATH)"});
}

compile::Caller known_caller(const FoundCaller& caller, const compile::Find& find) {
  const auto netns = caller.netns.empty() ? Result<std::uint64_t>(0) : kernel::netns_cookie(caller.netns);
  std::vector<std::uint64_t> nearest_first;
  const auto mount = canonical(mount_point());
  std::vector<std::string> directories;  // below the hierarchy's root, the highest first
  if (is_below(caller.cgroup, mount)) {
    std::filesystem::path at = mount;
    for (const auto& part : std::filesystem::path(caller.cgroup).lexically_relative(mount)) {
      if (part != ".") directories.push_back((at /= part).string());
    }
  }
  directories.resize(std::min(directories.size(), kCgroupLevels));  // deeper ones the kernel doesn't look at
  for (auto directory = directories.rbegin(); directory != directories.rend(); ++directory) {
    if (const auto id = kernel::cgroup_id(*directory)) nearest_first.push_back(*id);
  }
  return compile::know_caller(find, netns.value_or(0), nearest_first);
}

bool is_below(const std::string& cgroup, const std::string& cgroup_root) {
  const auto root = canonical(cgroup_root);
  return cgroup.starts_with(root) &&
         (cgroup.size() == root.size() || root.ends_with('/') || cgroup[root.size()] == '/');
}

}  // namespace cortexflow
