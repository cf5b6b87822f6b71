// SPDX-License-Identifier: Apache-2.0
// Services and what stands behind them, as Kubernetes means them (core/v1, discovery.k8s.io/v1), reduced to what the
// mesh needs; and TrafficPolicy (cortexflow.io/v1alpha1).  Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/cidr.h"
#include "agent/model/ip_address.h"

namespace cortexflow::model {

struct ObjectName {
  std::string ns;  // empty for kinds without a namespace
  std::string name;
  auto operator<=>(const ObjectName&) const = default;
};

using Labels = std::map<std::string, std::string>;

enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };  // IANA numbers

enum class ServiceType : std::uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalName };

// internalTrafficPolicy, externalTrafficPolicy
enum class TrafficScope : std::uint8_t { kCluster, kLocal };

struct ServicePort {
  std::string name;  // joins it to EndpointSlice ports; empty where there is one
  Protocol protocol = Protocol::kTcp;
  std::uint16_t port = 0;
  std::uint16_t node_port = 0;  // 0: none
  auto operator<=>(const ServicePort&) const = default;
};

struct Service {
  ObjectName name;
  // metadata.creationTimestamp: of two that want an address which nobody has, the older one gets it.
  std::optional<std::chrono::system_clock::time_point> created;
  ServiceType type = ServiceType::kClusterIp;
  std::vector<IpAddress> cluster_ips;  // empty: headless, or ExternalName
  std::vector<IpAddress> external_ips;
  std::vector<IpAddress> load_balancer_ips;  // status.loadBalancer.ingress[].ip
  std::vector<Cidr> source_ranges;           // loadBalancerSourceRanges: who may ask these; empty: everybody
  std::vector<ServicePort> ports;
  std::chrono::seconds affinity_timeout{0};  // sessionAffinity: ClientIP; 0: None
  TrafficScope internal_scope = TrafficScope::kCluster;
  TrafficScope external_scope = TrafficScope::kCluster;
  bool prefer_close = false;                 // trafficDistribution: PreferClose (PreferSameZone), or topology mode Auto
  bool publish_not_ready = false;            // publishNotReadyAddresses
  std::uint16_t health_check_node_port = 0;  // of LoadBalancers with externalTrafficPolicy: Local; 0: none
  std::string external_name;
  bool operator==(const Service&) const = default;
};

struct Endpoint {
  IpAddress address;
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  std::string node;
  std::string zone;
  std::vector<std::string> zone_hints;  // hints.forZones
  ObjectName pod;                       // targetRef; name empty: none
  bool operator==(const Endpoint&) const = default;
};

struct EndpointPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  std::uint16_t port = 0;
  bool operator==(const EndpointPort&) const = default;
};

struct EndpointSlice {
  ObjectName name;
  std::string service;  // label kubernetes.io/service-name
  std::vector<EndpointPort> ports;
  std::vector<Endpoint> endpoints;
  bool operator==(const EndpointSlice&) const = default;
};

struct PodPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  std::uint16_t port = 0;
  auto operator<=>(const PodPort&) const = default;
};

struct Pod {
  ObjectName name;
  Labels labels;
  std::vector<IpAddress> addresses;
  std::string node;
  std::string service_account;
  std::uint32_t weight = 1;  // annotation cortexflow.io/weight: share under the algorithm Weighted
  std::string cgroup;        // annotation cortexflow.io/cgroup, in manifests: a path below the cgroup v2 mount
  std::string netns;         // annotation cortexflow.io/netns, in manifests: a name under /run/netns, or a path
  std::string uid{};         // in the paths of its cgroups; of a static pod its hash; empty without a cluster
  std::string owner{};       // "Deployment/web"; empty: none
  std::vector<std::pair<std::string, std::string>> containers{};  // id, name; of this node's pods
  bool host_network = false;                                      // its addresses are its node's
  std::vector<PodPort> ports{};                                   // of its containers; those with names
  bool operator==(const Pod&) const = default;
};

struct Namespace {
  std::string name;
  Labels labels;
  bool operator==(const Namespace&) const = default;
};

struct Node {
  std::string name;
  std::vector<IpAddress> addresses;  // internal and external; sorted
  bool operator==(const Node&) const = default;
};

enum class Algorithm : std::uint8_t {
  kRoundRobin,
  kRandom,
  kWeighted,
  kLeastConnections,
  kConsistentHash,
  kLeastLatency
};

// A part of a service's endpoints, by their pods' labels.
struct Subset {
  std::string name;
  Labels labels;
  std::uint32_t weight = 0;  // share of the callers that no subset claims by version; all 0: no split
  bool operator==(const Subset&) const = default;
};

enum class HealthCheckType : std::uint8_t { kTcp, kHttp, kGrpc };

// How each of a service's backends is asked whether it is well.
struct HealthCheck {
  HealthCheckType type = HealthCheckType::kTcp;
  std::string path = "/";          // of kHttp
  std::uint16_t status_min = 200;  // of kHttp: statuses that count as healthy
  std::uint16_t status_max = 399;
  std::uint16_t port = 0;  // 0: the backend's own
  std::chrono::milliseconds interval{30'000};
  std::chrono::milliseconds timeout{5'000};  // no longer than the interval
  std::uint32_t healthy_threshold = 2;       // results in a row that change what a backend counts as
  std::uint32_t unhealthy_threshold = 3;
  std::string grpc_service{};  // of kGrpc: whose status is asked for; empty: the server's as a whole
  auto operator<=>(const HealthCheck&) const = default;
};

inline constexpr std::uint32_t kPanicThreshold = 50;

// Refuses connections in the kernel, of this node's callers together.
struct CircuitBreaker {
  std::uint32_t max_connections = 0;  // live at once; 0: no limit
  std::uint32_t max_pending = 0;      // TCP, not established yet; 0: no limit
  bool refuse_with_eperm = false;     // else ECONNREFUSED, where the kernel can say so
  bool operator==(const CircuitBreaker&) const = default;
};

// When real connections of this node's callers say that a backend is ill, and for how long it is left out then.
// Names and defaults are Envoy's and Istio's (DestinationRule), reduced to what can be seen of connections.
struct OutlierDetection {
  std::uint32_t consecutive_failures = 5;          // connects, or connections reset or broken; 0: not looked at
  std::uint32_t failure_percentage_threshold = 0;  // of an interval's connections; 0: not looked at
  std::uint32_t failure_percentage_volume = 50;    // fewer connections in an interval say nothing
  std::chrono::milliseconds interval{10'000};
  std::chrono::milliseconds base_ejection_time{30'000};  // times the number of ejections in a row...
  std::chrono::milliseconds max_ejection_time{300'000};  // ...and no more than this
  // While fewer of a service's backends are ejected, one more may be (as in Envoy); 0: none.
  std::uint32_t max_ejection_percent = 10;
  bool operator==(const OutlierDetection&) const = default;
};

struct TrafficPolicy {
  ObjectName name;
  std::vector<std::string> services;  // spec.targetRefs, of the same namespace
  Algorithm algorithm = Algorithm::kRoundRobin;
  std::uint32_t hash_table_size = 16381;  // of kConsistentHash; a prime
  std::vector<Subset> subsets;
  bool match_caller_version = false;  // a caller labelled version=X goes to the subset whose labels say version=X
  CircuitBreaker circuit_breaker{};
  std::optional<OutlierDetection> outlier_detection{};
  std::optional<HealthCheck> health_check{};
  // Percent: were fewer of the ready backends left by health checks and ejection, all are used.  0: never.
  std::uint32_t panic_threshold = kPanicThreshold;
  bool operator==(const TrafficPolicy&) const = default;
};

}  // namespace cortexflow::model
