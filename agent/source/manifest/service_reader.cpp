// SPDX-License-Identifier: Apache-2.0
// core/v1 Service, checked as pkg/apis/core/validation does, but for what only the API server can do: it gives a
// service its addresses, here they have to be written.

#include <algorithm>

#include "agent/model/time_text.h"
#include "agent/source/manifest/address.h"
#include "agent/source/manifest/cidr.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/names.h"
#include "agent/source/manifest/object_readers.h"
#include "agent/source/manifest/service_ports.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kServiceAddressesMax = 256;  // externalIPs, ingress
constexpr std::size_t kSourceRangesMax = 4096;
constexpr std::int64_t kAffinityDefault = 10800;
constexpr std::int64_t kAffinityMax = 86400;

struct ClusterIps {
  bool none = false;  // "None": headless
  std::vector<model::IpAddress> addresses;
};

void read_cluster_ip(const Field& field, ClusterIps& ips) {
  if (field.text() == "None") {
    if (!ips.addresses.empty()) field.refuse("expected None alone, without addresses beside it");
    ips.none = true;
  } else if (const auto address = read_address(field)) {
    if (ips.none) field.refuse("expected None alone, without addresses beside it");
    if (!ips.addresses.empty() && ips.addresses[0].is_v4() == address->is_v4()) {
      field.expected("an address of the other family than the first");
    }
    refuse_special(field, *address);
    ips.addresses.push_back(*address);
  }
}

ClusterIps read_cluster_ips(const Field& spec) {
  const Field one = spec["clusterIP"];
  const auto several = spec["clusterIPs"].items(2);
  ClusterIps ips;
  for (const Field& item : several) read_cluster_ip(item, ips);
  if (several.empty()) {
    if (!one.text().empty()) read_cluster_ip(one, ips);
  } else if (one.present() && one.text() != several[0].text()) {
    one.expected("the first of clusterIPs");
  }
  return ips;
}

void check_families(const Field& spec, const ClusterIps& ips) {
  const std::vector<std::string_view> kFamilies{"IPv4", "IPv6"};
  const auto families = spec["ipFamilies"].items(2);
  for (std::size_t i = 0; i < families.size(); ++i) {
    const bool v4 = families[i].choice(kFamilies, 0) == 0;
    if (i == 1 && families[0].text() == families[1].text()) families[1].expected("each family once");
    if (i < ips.addresses.size() && ips.addresses[i].is_v4() != v4) families[i].expected("the family of its clusterIP");
  }
  const Field policy = spec["ipFamilyPolicy"];
  const auto chosen = policy.choice({"SingleStack", "PreferDualStack", "RequireDualStack"}, 1);
  if (policy.present() && chosen == 0 && ips.addresses.size() > 1)
    policy.expected("a dual-stack policy for two clusterIPs");
  if (chosen == 2 && ips.addresses.size() == 1) policy.refuse("expected two clusterIPs, one of each family");
}

void check_type(const Field& spec, const model::Service& service, const ClusterIps& ips) {
  const Field address = spec["clusterIPs"].present() ? spec["clusterIPs"] : spec["clusterIP"];
  if (service.type == model::ServiceType::kExternalName) {
    if (ips.none || !ips.addresses.empty()) address.expected("nothing, as the type is ExternalName");
    const std::string& name = service.external_name;
    const bool dot = !name.empty() && name.back() == '.';
    if (!is_dns1123_subdomain(std::string_view(name).substr(0, name.size() - (dot ? 1 : 0)))) {
      spec["externalName"].expected("a DNS name");
    }
  } else if (ips.none && service.type != model::ServiceType::kClusterIp) {
    address.expected("an address: a headless service has the type ClusterIP");
  } else if (!ips.none && ips.addresses.empty()) {
    spec["clusterIP"].refuse("expected an address, or None; a directory has no API server that would choose one");
  }
}

std::chrono::seconds read_affinity(const Field& spec) {
  const Field config = spec["sessionAffinityConfig"];
  if (spec["sessionAffinity"].choice({"None", "ClientIP"}, 0) == 0) {
    if (config.present()) config.refuse("expected sessionAffinity: ClientIP beside it");
    return std::chrono::seconds(0);
  }
  return std::chrono::seconds(config["clientIP"]["timeoutSeconds"].number(1, kAffinityMax).value_or(kAffinityDefault));
}

// https://kubernetes.io/docs/reference/networking/virtual-ips/: ipMode Proxy has the balancer's address left alone.
std::vector<model::IpAddress> read_ingress(const Field& object) {
  std::vector<model::IpAddress> addresses;
  for (const Field& ingress : object["status"]["loadBalancer"]["ingress"].items(kServiceAddressesMax)) {
    if (ingress["ipMode"].choice({"VIP", "Proxy"}, 0) == 1 || !ingress["ip"].present()) continue;
    if (const auto address = read_address(ingress["ip"])) addresses.push_back(*address);
  }
  return addresses;
}

std::uint16_t read_health_check_port(const Field& field, const model::Service& service) {
  const auto number = field.number(0, kPortMax).value_or(0);  // the API server's own 0: none
  const bool asked =
      service.type == model::ServiceType::kLoadBalancer && service.external_scope == model::TrafficScope::kLocal;
  if (number != 0 && !asked) field.refuse("expected type LoadBalancer and externalTrafficPolicy: Local beside it");
  const bool taken = std::any_of(service.ports.begin(), service.ports.end(), [number](const auto& port) {
    return port.protocol == model::Protocol::kTcp && port.node_port == number;
  });
  if (number != 0 && taken) field.expected("a port that is no nodePort of the service");
  return static_cast<std::uint16_t>(number);
}

bool reads_topology(const Field& object, const Field& spec) {
  const std::string mode = object["metadata"]["annotations"]["service.kubernetes.io/topology-mode"].text();
  const Field distribution = spec["trafficDistribution"];
  (void)distribution.choice({"PreferClose", "PreferSameZone"}, 0);
  return distribution.present() || mode == "Auto" || mode == "auto";
}

}  // namespace

model::Service read_service(const Field& object) {
  model::Service service;
  service.name = read_metadata(object, NameRule::kDns1035Label).name;
  const Field created = object["metadata"]["creationTimestamp"];
  service.created = model::parse_time(created.text());
  if (!service.created && !created.text().empty()) created.expected("a time such as 2030-01-01T00:00:00Z");
  const Field spec = object["spec"];
  if (!spec.present()) spec.expected("a mapping");
  service.type = static_cast<model::ServiceType>(
      spec["type"].choice({"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"}, 0));
  service.external_name = spec["externalName"].text();
  const ClusterIps ips = read_cluster_ips(spec);
  check_families(spec, ips);
  check_type(spec, service, ips);
  service.cluster_ips = ips.addresses;
  for (const Field& item : spec["externalIPs"].items(kServiceAddressesMax)) {
    if (const auto address = read_address(item)) {
      refuse_special(item, *address);
      service.external_ips.push_back(*address);
    }
  }
  const bool external_name = service.type == model::ServiceType::kExternalName;
  service.ports = read_service_ports(spec["ports"], service.type, !external_name && !ips.none);
  service.affinity_timeout = read_affinity(spec);
  service.internal_scope =
      static_cast<model::TrafficScope>(spec["internalTrafficPolicy"].choice({"Cluster", "Local"}, 0));
  const Field external = spec["externalTrafficPolicy"];
  service.external_scope = static_cast<model::TrafficScope>(external.choice({"Cluster", "Local"}, 0));
  const bool reached_from_outside = service.type == model::ServiceType::kNodePort ||
                                    service.type == model::ServiceType::kLoadBalancer || !service.external_ips.empty();
  if (external.present() && !external.text().empty() && !reached_from_outside) {
    external.refuse("expected type NodePort or LoadBalancer, or externalIPs, beside it");
  }
  service.health_check_node_port = read_health_check_port(spec["healthCheckNodePort"], service);
  if (service.type == model::ServiceType::kLoadBalancer) {
    service.load_balancer_ips = read_ingress(object);
    for (const Field& range : spec["loadBalancerSourceRanges"].items(kSourceRangesMax)) {
      service.source_ranges.push_back(read_cidr(range, HostBits::kDropped));
    }
  }
  service.prefer_close = reads_topology(object, spec);
  service.publish_not_ready = spec["publishNotReadyAddresses"].flag(false);
  return service;
}

}  // namespace cortexflow::source
