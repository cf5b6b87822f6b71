// SPDX-License-Identifier: Apache-2.0
// core/v1 Pod, as far as it names a workload.  In a cluster its cgroups have its uid; without one a pod is the cgroup
// or network namespace that its annotations name.
#include <algorithm>
#include <array>
#include <charconv>

#include "agent/source/manifest/address.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/names.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kPodAddressesMax = 16;
constexpr std::uint32_t kPodWeightMax = 1000;

// An annotation's value is a text, numbers too.
std::uint32_t read_weight(const Field& annotation) {
  if (!annotation.present()) return 1;
  const auto weight = parse_pod_weight(annotation.text());
  if (!weight) annotation.expected("a number from 0 to 1000, in quotes");
  return weight.value_or(1);
}

bool climbs(const std::string& path) { return ("/" + path + "/").find("/../") != std::string::npos; }

std::string read_path(const Field& annotation) {
  std::string path = annotation.text();
  const bool wrong = path.empty() || path.size() > 4095 || path.find('\0') != std::string::npos || climbs(path);
  if (annotation.present() && wrong) {
    annotation.expected("a path without ..");
  }
  return path;
}

std::vector<model::IpAddress> read_addresses(const Field& status) {
  // The addresses of a pod that has ended may be another's by now.
  const std::string phase = status["phase"].text();
  const bool ended = phase == "Succeeded" || phase == "Failed";
  std::vector<model::IpAddress> addresses;
  const auto several = status["podIPs"].items(kPodAddressesMax);
  for (const Field& item : several) {
    if (const auto address = read_address(item["ip"])) addresses.push_back(*address);
  }
  const Field one = status["podIP"];
  if (one.present() && !one.text().empty()) {
    const auto address = read_address(one);
    if (several.empty() && address) addresses.push_back(*address);
    if (address && !addresses.empty() && addresses.front() != *address) one.expected("the first of podIPs");
  }
  if (ended) addresses.clear();
  return addresses;
}

// As far as the pod itself tells: what made a Job is in the Job.
std::string read_owner(const Field& metadata, const model::Labels& labels) {
  for (const Field& reference : metadata["ownerReferences"].items(kOwnersMax)) {
    if (!reference["controller"].flag(false)) continue;
    const std::string kind = reference["kind"].text(), name = reference["name"].text();
    const auto hash = labels.find("pod-template-hash");
    const std::string suffix = hash == labels.end() ? "" : "-" + hash->second;
    if (kind == "ReplicaSet" && !suffix.empty() && name.ends_with(suffix)) {
      return "Deployment/" + name.substr(0, name.size() - suffix.size());
    }
    return kind + "/" + name;
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> read_containers(const Field& status) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string_view list : {"initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"}) {
    for (const Field& one : status[list].items(kContainersMax)) {
      const std::string id = one["containerID"].text();  // "containerd://0123..."
      const auto scheme = id.find("://");
      if (scheme != std::string::npos) out.emplace_back(id.substr(scheme + 3), one["name"].text());
    }
  }
  return out;
}

// Those that a NetworkPolicy may name.  Containers that start others first and go on have some too.
std::vector<model::PodPort> read_named_ports(const Field& spec) {
  constexpr std::array kProtocols{model::Protocol::kTcp, model::Protocol::kUdp, model::Protocol::kSctp};
  std::vector<model::PodPort> out;
  for (const std::string_view list : {"initContainers", "containers"}) {
    for (const Field& container : spec[list].items(kContainersMax)) {
      for (const Field& port : container["ports"].items(kContainerPortsMax)) {
        const std::string name = port["name"].text();
        const auto number = port["containerPort"].number(1, 65535);
        const auto protocol = port["protocol"].choice({"TCP", "UDP", "SCTP"}, 0);
        if (name.empty() || !number) continue;
        out.push_back({name, kProtocols.at(protocol), static_cast<std::uint16_t>(*number)});
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::optional<std::uint32_t> parse_pod_weight(const std::string& text) {
  std::uint32_t weight = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  const bool whole = !text.empty() && error == std::errc{} && end == text.data() + text.size();
  return whole && weight <= kPodWeightMax ? std::optional(weight) : std::nullopt;
}

model::Pod read_pod(const Field& object) {
  model::Pod pod;
  Metadata metadata = read_metadata(object, NameRule::kDns1123Subdomain);
  pod.name = std::move(metadata.name);
  pod.labels = std::move(metadata.labels);
  pod.addresses = read_addresses(object["status"]);
  pod.containers = read_containers(object["status"]);
  pod.owner = read_owner(object["metadata"], pod.labels);
  pod.node = object["spec"]["nodeName"].text();
  pod.service_account = object["spec"]["serviceAccountName"].text("default");
  pod.host_network = object["spec"]["hostNetwork"].flag(false);
  pod.ports = read_named_ports(object["spec"]);
  const Field annotations = object["metadata"]["annotations"];
  // A static pod's cgroup has the hash of its file for a uid.
  pod.uid = annotations["kubernetes.io/config.hash"].text(object["metadata"]["uid"].text());
  pod.weight = read_weight(annotations["cortexflow.io/weight"]);
  pod.cgroup = read_path(annotations["cortexflow.io/cgroup"]);
  const Field netns = annotations["cortexflow.io/netns"];
  pod.netns = read_path(netns);
  if (pod.netns.find('/') != std::string::npos && pod.netns.front() != '/') {
    netns.expected("a name under /run/netns, or a whole path");
  }
  return pod;
}

}  // namespace cortexflow::source
