// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/resource.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

using nlohmann::json;

ResourceVersion core(const std::string& plural, const std::string& kind) { return {"/api/v1/" + plural, "v1", kind}; }

ResourceVersion in_group(const std::string& version, const std::string& plural, const std::string& kind) {
  return {"/apis/" + version + "/" + plural, version, kind};
}

// Annotations that a reader looks at begin so; others may have a megabyte.
constexpr std::array<std::string_view, 4> kAnnotations{"cortexflow.io/", "service.kubernetes.io/",
                                                       "kubernetes.io/config.hash", "kubernetes.io/config.mirror"};

constexpr std::array<const char*, 3> kContainerLists{"containerStatuses", "initContainerStatuses",
                                                     "ephemeralContainerStatuses"};

bool is_read(const std::string& annotation) {
  return std::any_of(kAnnotations.begin(), kAnnotations.end(),
                     [&](auto prefix) { return annotation.starts_with(prefix); });
}

template <typename Keep>
void keep_only(json& object, const Keep& keep) {
  if (!object.is_object()) return;
  for (auto at = object.begin(); at != object.end();) at = keep(at.key()) ? std::next(at) : object.erase(at);
}

void keep_keys(json& holder, const char* part, const std::set<std::string_view>& keys) {
  if (holder.contains(part)) keep_only(holder[part], [&](const std::string& key) { return keys.contains(key); });
}

// Of a pod's containers nothing but the ports that have names; most have none.
void keep_named_ports(json& pod) {
  if (!pod.contains("spec") || !pod["spec"].is_object()) return;
  auto& spec = pod["spec"];
  for (const char* list : {"containers", "initContainers"}) {
    if (!spec.contains(list) || !spec[list].is_array()) continue;
    auto kept = json::array();
    for (const auto& container : spec[list]) {
      const auto ports = container.is_object() ? container.value("ports", json()) : json();
      if (!ports.is_array()) continue;
      auto named = json::array();
      for (const auto& port : ports) {
        if (!port.is_object() || !port.contains("name")) continue;
        named.push_back(port);
        keep_only(named.back(),
                  [](const std::string& key) { return key == "name" || key == "containerPort" || key == "protocol"; });
      }
      if (!named.empty()) kept.push_back({{"ports", std::move(named)}});
    }
    if (kept.empty()) {
      spec.erase(list);
    } else {
      spec[list] = std::move(kept);
    }
  }
}

void shorten(json& list, std::size_t max) {
  if (list.is_array() && list.size() > max) list.erase(list.begin() + static_cast<std::ptrdiff_t>(max), list.end());
}

// Who makes a pod writes its annotations.  They can't say which cgroup or network namespace is its, as a manifest's do:
// another's sockets would be its own.
void distrust_annotations(json& annotations) {
  annotations.erase("cortexflow.io/cgroup");
  annotations.erase("cortexflow.io/netns");
  const auto weight = annotations.find("cortexflow.io/weight");
  if (weight != annotations.end() && !(weight->is_string() && parse_pod_weight(weight->get<std::string>()))) {
    annotations.erase(weight);
  }
  // A static pod's, which its kubelet has shown to the API server.
  const auto mirror = annotations.find("kubernetes.io/config.mirror"),
             hash = annotations.find("kubernetes.io/config.hash");
  if (hash != annotations.end() && (mirror == annotations.end() || *mirror != *hash)) annotations.erase(hash);
}

// Nothing that its maker can write makes a pod unreadable: policies would know nothing of it.
void keep_readable(json& pod) {
  auto& metadata = pod["metadata"];
  if (metadata.is_object() && metadata.contains("annotations") && metadata["annotations"].is_object()) {
    distrust_annotations(metadata["annotations"]);
  }
  if (metadata.is_object() && metadata.contains("ownerReferences")) shorten(metadata["ownerReferences"], kOwnersMax);
  for (const char* list : {"containers", "initContainers"}) {
    if (!pod.contains("spec") || !pod["spec"].is_object() || !pod["spec"].contains(list)) continue;
    shorten(pod["spec"][list], kContainersMax);
    for (auto& container : pod["spec"][list]) {
      if (container.is_object() && container.contains("ports")) shorten(container["ports"], kContainerPortsMax);
    }
  }
  for (const char* list : kContainerLists) {
    if (!pod.contains("status") || !pod["status"].is_object() || !pod["status"].contains(list)) continue;
    shorten(pod["status"][list], kContainersMax);
  }
}

// discovery.k8s.io/v1beta1: the place was in `topology`.
void endpoint_to_v1(json& endpoint) {
  if (!endpoint.is_object() || !endpoint.contains("topology")) return;
  const auto topology = endpoint["topology"];
  endpoint.erase("topology");
  if (!topology.is_object()) return;
  if (const auto zone = topology.find("topology.kubernetes.io/zone"); zone != topology.end()) endpoint["zone"] = *zone;
  const auto host = topology.find("kubernetes.io/hostname");
  if (host != topology.end() && !endpoint.contains("nodeName")) endpoint["nodeName"] = *host;
}

json endpoint_of(const json& address, bool ready) {
  json endpoint = {{"addresses", json::array({address.value("ip", json())})},
                   {"conditions", {{"ready", ready}, {"serving", ready}}}};
  for (const char* key : {"nodeName", "targetRef"}) {
    if (address.contains(key)) endpoint[key] = address[key];
  }
  return endpoint;
}

bool is_v6(const json& address) {
  const auto ip = address.value("ip", json());
  return ip.is_string() && ip.get_ref<const std::string&>().find(':') != std::string::npos;
}

json slice_of(const json& endpoints, const json& subset, bool v6, std::size_t number) {
  json slice = {{"apiVersion", "discovery.k8s.io/v1"},
                {"kind", "EndpointSlice"},
                {"addressType", v6 ? "IPv6" : "IPv4"},
                {"ports", subset.value("ports", json::array())},
                {"endpoints", json::array()}};
  const auto& metadata = endpoints["metadata"];
  const auto given = metadata.value("name", json());
  const std::string name = given.is_string() ? given.get<std::string>() : "";  // the reader refuses it
  slice["metadata"] = {{"name", name + "-" + std::to_string(number)},
                       {"namespace", metadata.value("namespace", json())},
                       {"labels", {{"kubernetes.io/service-name", name}}}};
  for (const char* list : {"addresses", "notReadyAddresses"}) {
    const auto addresses = subset.value(list, json::array());
    if (!addresses.is_array()) continue;
    for (const auto& address : addresses) {
      if (!address.is_object() || is_v6(address) != v6) continue;
      slice["endpoints"].push_back(endpoint_of(address, std::string_view(list) == "addresses"));
    }
  }
  return slice;
}

json slices_of(const json& endpoints) {
  json list = {{"apiVersion", "v1"}, {"kind", "List"}, {"items", json::array()}};
  if (!endpoints.contains("metadata") || !endpoints["metadata"].is_object()) return list;
  const auto subsets = endpoints.value("subsets", json());
  if (!subsets.is_array()) return list;
  std::size_t number = 0;
  for (const auto& subset : subsets) {
    if (!subset.is_object()) continue;
    for (const bool v6 : {false, true}) {
      auto slice = slice_of(endpoints, subset, v6, number++);
      if (!slice["endpoints"].empty()) list["items"].push_back(std::move(slice));
    }
  }
  return list;
}

// Of others readers look at no status: a change of it alone is none to them.
bool reads_status(model::Kind kind) {
  return kind == model::Kind::kPod || kind == model::Kind::kNode || kind == model::Kind::kService;
}

}  // namespace

void drop_containers_of_others(json& pod, const std::string& node) {
  if (!pod.contains("status") || !pod["status"].is_object()) return;
  const auto spec = pod.find("spec");
  if (spec != pod.end() && spec->is_object() && spec->value("nodeName", json()) == node) return;
  for (const char* list : kContainerLists) pod["status"].erase(list);
}

const std::vector<Resource>& resources() {
  using model::Kind;
  static const std::vector<Resource> kResources{
      {Kind::kNamespace, {core("namespaces", "Namespace")}},
      {Kind::kPod, {core("pods", "Pod")}},
      {Kind::kEndpointSlice,
       {in_group("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
        in_group("discovery.k8s.io/v1beta1", "endpointslices", "EndpointSlice"), core("endpoints", "Endpoints")}},
      {Kind::kService, {core("services", "Service")}},
      {Kind::kTrafficPolicy, {in_group("cortexflow.io/v1alpha1", "trafficpolicies", "TrafficPolicy")}, true},
      {Kind::kDenyList, {in_group("cortexflow.io/v1alpha1", "denylists", "DenyList")}, true},
      {Kind::kAuthorizationPolicy,
       {in_group("cortexflow.io/v1alpha1", "authorizationpolicies", "AuthorizationPolicy")},
       true},
      {Kind::kNetworkPolicy, {in_group("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")}},
      {Kind::kNode, {core("nodes", "Node")}},
  };
  return kResources;
}

void normalize(json& object, const Resource& resource, const ResourceVersion& version) {
  object["kind"] = version.kind;
  object["apiVersion"] = version.api_version;
  if (object.contains("metadata") && object["metadata"].is_object()) {
    auto& metadata = object["metadata"];
    keep_only(metadata, [&](const std::string& key) {
      return (key == "creationTimestamp" && resource.kind == model::Kind::kService) || key == "name" ||
             key == "namespace" || key == "labels" || key == "annotations" || key == "uid" || key == "ownerReferences";
    });
    if (metadata.contains("annotations")) keep_only(metadata["annotations"], is_read);
  }
  if (!reads_status(resource.kind)) object.erase("status");
  if (resource.kind == model::Kind::kPod) {
    keep_keys(object, "spec", {"nodeName", "serviceAccountName", "hostNetwork", "containers", "initContainers"});
    keep_named_ports(object);
    keep_keys(object, "status",
              {"podIP", "podIPs", "phase", kContainerLists[0], kContainerLists[1], kContainerLists[2]});
    for (const char* list : kContainerLists) {
      if (!object.contains("status") || !object["status"].is_object() || !object["status"].contains(list)) continue;
      for (auto& container : object["status"][list]) {
        keep_only(container, [](const std::string& key) { return key == "name" || key == "containerID"; });
      }
    }
    keep_readable(object);
  }
  if (resource.kind == model::Kind::kNode) {
    object.erase("spec");
    keep_keys(object, "status", {"addresses"});
  }
  if (resource.kind != model::Kind::kEndpointSlice) return;
  if (version.kind == "Endpoints") {
    object = slices_of(object);
  } else if (version.api_version == "discovery.k8s.io/v1beta1") {
    object["apiVersion"] = "discovery.k8s.io/v1";
    if (object.contains("endpoints") && object["endpoints"].is_array()) {
      for (auto& endpoint : object["endpoints"]) endpoint_to_v1(endpoint);
    }
  }
}

}  // namespace cortexflow::source
