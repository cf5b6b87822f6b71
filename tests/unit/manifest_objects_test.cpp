// SPDX-License-Identifier: Apache-2.0
// What the API server would make of an object: defaults, and each refusal with its line and field.
#include <catch2/catch.hpp>
#include <string>

#include "agent/source/manifest/document_reader.h"

using namespace cortexflow;

namespace {

template <typename T>
T read(const std::string& text) {
  const auto document = source::read_document(text);
  for (const auto& refused : document.refused) {
    UNSCOPED_INFO(refused.problem.line << ": " << refused.problem.field << ": " << refused.problem.reason);
  }
  REQUIRE(document.objects.size() == 1);
  return *std::get<std::shared_ptr<const T>>(document.objects[0].object);
}

struct Refusal {
  const char* sentence;
  std::string text;  // stands behind four lines of head
  std::uint32_t line;
  const char* field;
  const char* reason;  // a part of it
};

void check(const std::string& head, const std::vector<Refusal>& rows) {
  for (const Refusal& row : rows) {
    INFO(row.sentence);
    const auto document = source::read_document(head + row.text);
    CHECK(document.objects.empty());
    REQUIRE(document.refused.size() == 1);
    CHECK(document.refused[0].problem.line == row.line);
    CHECK(document.refused[0].problem.field == row.field);
    CHECK_THAT(document.refused[0].problem.reason, Catch::Contains(row.reason));
  }
}

model::IpAddress ip(const char* text) { return *model::IpAddress::parse(text); }

const std::string kService = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec:\n";
const std::string kSlice =
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
    "metadata: {name: cart-1, namespace: shop, labels: {kubernetes.io/service-name: cart}}\naddressType: IPv4\n";
const std::string kPolicy =
    "apiVersion: cortexflow.io/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: cart, namespace: shop}\nspec:\n";
const std::string kPod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: cart-a\n";
const std::string kTarget = "  targetRefs: [{kind: Service, name: cart}]\n";

}  // namespace

TEST_CASE("a Service has the API server's defaults") {
  const auto service = read<model::Service>(kService + "  clusterIP: 10.96.0.1\n  ports: [{port: 80}]\n");
  model::Service expected;
  expected.name = {"shop", "cart"};
  expected.cluster_ips = {ip("10.96.0.1")};
  expected.ports = {{"", model::Protocol::kTcp, 80, 0}};
  CHECK(service == expected);
  CHECK(read<model::Service>("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}").name.ns ==
        "default");
}

TEST_CASE("a Service is read whole") {
  const auto service = read<model::Service>(kService + R"(  type: LoadBalancer
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd00::1"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  externalIPs: [192.0.2.7]
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: 30080}
  - {name: dns, protocol: UDP, port: 53, targetPort: dns}
  sessionAffinity: ClientIP
  internalTrafficPolicy: Local
  externalTrafficPolicy: Local
  trafficDistribution: PreferClose
  publishNotReadyAddresses: true
  healthCheckNodePort: 30100
status:
  loadBalancer:
    ingress: [{ip: 203.0.113.1}, {ip: 203.0.113.2, ipMode: Proxy}, {hostname: lb.example.com}]
)");
  CHECK(service.type == model::ServiceType::kLoadBalancer);
  CHECK(service.cluster_ips == std::vector{ip("10.96.0.1"), ip("fd00::1")});
  CHECK(service.external_ips == std::vector{ip("192.0.2.7")});
  CHECK(service.load_balancer_ips == std::vector{ip("203.0.113.1")});
  CHECK(service.ports == std::vector<model::ServicePort>{{"http", model::Protocol::kTcp, 80, 30080},
                                                         {"dns", model::Protocol::kUdp, 53, 0}});
  CHECK(service.affinity_timeout == std::chrono::seconds(10800));
  CHECK(service.internal_scope == model::TrafficScope::kLocal);
  CHECK(service.external_scope == model::TrafficScope::kLocal);
  CHECK(service.prefer_close);
  CHECK(service.publish_not_ready);
  CHECK(service.health_check_node_port == 30100);
}

TEST_CASE("a balancer's source ranges are read as the API server lets them stand, and those of another type are not") {
  const auto of_type = [](const std::string& type) {
    return read<model::Service>(kService + "  type: " + type +
                                "\n  clusterIP: 10.96.0.1\n  ports: [{port: 80, nodePort: 30080}]\n"
                                "  loadBalancerSourceRanges: [203.0.113.0/24, ' 198.51.100.7/24 ', 'fd00::1/64']\n")
        .source_ranges;
  };
  CHECK(of_type("LoadBalancer") ==
        std::vector<model::Cidr>{{ip("203.0.113.0"), 24}, {ip("198.51.100.0"), 24}, {ip("fd00::"), 64}});
  CHECK(of_type("NodePort").empty());
}

TEST_CASE("headless, ExternalName and topology-mode Services are read") {
  CHECK(read<model::Service>(kService + "  clusterIP: None\n").cluster_ips.empty());
  const auto named = read<model::Service>(kService + "  type: ExternalName\n  externalName: db.example.com.\n");
  CHECK(named.external_name == "db.example.com.");
  CHECK(named.cluster_ips.empty());
  CHECK(read<model::Service>("{apiVersion: v1, kind: Service, metadata: {name: a, annotations: "
                             "{service.kubernetes.io/topology-mode: Auto}}, spec: {clusterIP: None}}")
            .prefer_close);
}

TEST_CASE("a Service that the API server would refuse is refused, with line and field") {
  const std::string ip = "  clusterIP: 10.96.0.1\n";
  const std::string ports = "  ports: [{port: 80}]\n";
  const std::string balancer =
      ip + "  type: LoadBalancer\n  externalTrafficPolicy: Local\n  ports: [{port: 80, nodePort: 30080}]\n";
  check(kService,
        {{"no address", ports, 5, "spec.clusterIP", "an address, or None"},
         {"an address that isn't one", ports + "  clusterIP: 10.96.0\n", 6, "spec.clusterIP", "expected an IP address"},
         {"IPv4 written as IPv6", ports + "  clusterIP: '::ffff:1.2.3.4'\n", 6, "spec.clusterIP", "dotted form"},
         {"a loopback address", ports + "  clusterIP: 127.0.0.1\n", 6, "spec.clusterIP", "loopback"},
         {"two addresses of one family", ports + "  clusterIPs:\n  - 10.0.0.1\n  - 10.0.0.2\n", 8, "spec.clusterIPs[1]",
          "other family"},
         {"three addresses", ports + "  clusterIPs: [10.0.0.1, 'fd00::1', 10.0.0.3]\n", 6, "spec.clusterIPs",
          "no more than 2"},
         {"None beside an address", ports + "  clusterIPs: [None, 10.0.0.1]\n", 6, "spec.clusterIPs[1]", "None alone"},
         {"clusterIP that contradicts clusterIPs", ports + ip + "  clusterIPs: [10.0.0.9]\n", 6, "spec.clusterIP",
          "the first of clusterIPs"},
         {"a family that contradicts the address", ports + ip + "  ipFamilies: [IPv6]\n", 7, "spec.ipFamilies[0]",
          "the family of its clusterIP"},
         {"a type that doesn't exist", ports + ip + "  type: Clusterip\n", 7, "spec.type", "expected one of ClusterIP"},
         {"ExternalName with an address", ip + "  type: ExternalName\n  externalName: a\n", 5, "spec.clusterIP",
          "expected nothing"},
         {"ExternalName without a name", "  type: ExternalName\n", 5, "spec.externalName", "a DNS name"},
         {"a headless NodePort", ports + "  clusterIP: None\n  type: NodePort\n", 6, "spec.clusterIP", "headless"},
         {"no ports", ip, 5, "spec.ports", "at least one port"},
         {"a port of 0", ip + "  ports:\n  - port: 0\n", 7, "spec.ports[0].port", "1 to 65535, found the number \"0\""},
         {"a port too large", ip + "  ports:\n  - port: 65536\n", 7, "spec.ports[0].port", "1 to 65535"},
         {"a port in quotes", ip + "  ports:\n  - port: '80'\n", 7, "spec.ports[0].port", "found \"80\""},
         {"a port with a fraction", ip + "  ports:\n  - port: 80.5\n", 7, "spec.ports[0].port", "1 to 65535"},
         {"no port", ip + "  ports:\n  - name: a\n", 7, "spec.ports[0].port", "found nothing"},
         {"two ports without names", ip + "  ports: [{port: 80}, {port: 81}]\n", 6, "spec.ports[0].name", "a name"},
         {"two ports of one name", ip + "  ports:\n  - {name: a, port: 80}\n  - {name: a, port: 81}\n", 8,
          "spec.ports[1].name", "each name once"},
         {"a port twice", ip + "  ports:\n  - {name: a, port: 80}\n  - {name: b, port: 80}\n", 8, "spec.ports[1].port",
          "each protocol and port once"},
         {"a protocol that doesn't exist", ip + "  ports:\n  - {port: 80, protocol: tcp}\n", 7,
          "spec.ports[0].protocol", "one of TCP, UDP, SCTP"},
         {"a target port's name too long", ip + "  ports:\n  - {port: 80, targetPort: a-name-that-is-too-long}\n", 7,
          "spec.ports[0].targetPort", "number or name"},
         {"a node port without its type", ip + "  ports:\n  - {port: 80, nodePort: 30000}\n", 7,
          "spec.ports[0].nodePort", "NodePort or LoadBalancer"},
         {"NodePort without a node port", ip + "  type: NodePort\n" + ports, 7, "spec.ports[0].nodePort",
          "no API server"},
         {"affinity for longer than a day",
          ip + ports + "  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}\n", 8,
          "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "1 to 86400"},
         {"affinity's settings without affinity", ip + ports + "  sessionAffinityConfig: {}\n", 7,
          "spec.sessionAffinityConfig", "ClientIP"},
         {"a health check node port that is negative", balancer + "  healthCheckNodePort: -1\n", 9,
          "spec.healthCheckNodePort", "0 to 65535, found the number \"-1\""},
         {"a health check node port too large", balancer + "  healthCheckNodePort: 65536\n", 9,
          "spec.healthCheckNodePort", "0 to 65535"},
         {"a health check node port in quotes", balancer + "  healthCheckNodePort: '30100'\n", 9,
          "spec.healthCheckNodePort", "found \"30100\""},
         {"a health check node port that is a node port", balancer + "  healthCheckNodePort: 30080\n", 9,
          "spec.healthCheckNodePort", "no nodePort of the service"},
         {"a health check node port that nobody asks at",
          ip + ports + "  type: LoadBalancer\n  healthCheckNodePort: 30100\n", 8, "spec.healthCheckNodePort",
          "externalTrafficPolicy: Local beside it"},
         {"a source range that is none",
          ip + "  type: LoadBalancer\n  ports: [{port: 80, nodePort: 30080}]\n"
               "  loadBalancerSourceRanges: [10.0.0.0/8, 10.0.0.0/33]\n",
          8, "spec.loadBalancerSourceRanges[1]", "ADDRESS/LENGTH"},
         {"externalTrafficPolicy for nobody outside", ip + ports + "  externalTrafficPolicy: Local\n", 7,
          "spec.externalTrafficPolicy", "NodePort or LoadBalancer"},
         {"an unknown distribution", ip + ports + "  trafficDistribution: Far\n", 7, "spec.trafficDistribution",
          "PreferClose"},
         {"ports that are no list", ip + "  ports: 80\n", 6, "spec.ports", "expected a list"},
         {"a truth value that is a text", ip + ports + "  publishNotReadyAddresses: 'yes'\n", 7,
          "spec.publishNotReadyAddresses", "true or false"}});
  check(
      "apiVersion: v1\nkind: Service\n",
      {{"no name", "metadata: {namespace: shop}\nspec: {clusterIP: None}\n", 3, "metadata.name", "expected a text"},
       {"a name with capitals", "metadata: {name: Cart}\nspec: {clusterIP: None}\n", 3, "metadata.name", "a-z"},
       {"a name that begins with a digit", "metadata: {name: 1a}\nspec: {clusterIP: None}\n", 3, "metadata.name",
        "a letter first"},
       {"a name that is a number", "metadata: {name: 12}\nspec: {clusterIP: None}\n", 3, "metadata.name", "in quotes"},
       {"a namespace with a dot", "metadata: {name: a, namespace: b.c}\nspec: {clusterIP: None}\n", 3,
        "metadata.namespace", "63"},
       {"a label's value that is a number", "metadata: {name: a, labels: {v: 1}}\nspec: {clusterIP: None}\n", 3,
        "metadata.labels.v", "in quotes"},
       {"a label's value with a blank", "metadata: {name: a, labels: {v: a b}}\nspec: {clusterIP: None}\n", 3,
        "metadata.labels.v", "a label's value"},
       {"a label's key with a blank", "metadata: {name: a, labels: {a b: c}}\nspec: {clusterIP: None}\n", 3,
        "metadata.labels.\"a b\"", "a label's key"},
       {"no spec", "metadata: {name: a}\n", 1, "spec", "expected a mapping"}});
}

TEST_CASE("an EndpointSlice is read, and what it doesn't say has its default") {
  const auto slice = read<model::EndpointSlice>(kSlice + R"(ports:
- {name: http, port: 8080}
- {name: any}
endpoints:
- addresses: [10.0.0.1, 10.0.0.9]
- addresses: [10.0.0.2]
  conditions: {ready: false, serving: true, terminating: true}
  nodeName: n1
  zone: z1
  hints: {forZones: [{name: z1}, {name: z2}]}
  targetRef: {kind: Pod, name: cart-a}
)");
  CHECK(slice.service == "cart");
  CHECK(slice.ports == std::vector<model::EndpointPort>{{"http", model::Protocol::kTcp, 8080}});
  model::Endpoint first;
  first.address = ip("10.0.0.1");
  model::Endpoint second{ip("10.0.0.2"), false, true, true, "n1", "z1", {"z1", "z2"}, {"shop", "cart-a"}};
  CHECK(slice.endpoints == std::vector{first, second});
}

TEST_CASE("an EndpointSlice that the API server would refuse is refused") {
  check(kSlice,
        {{"an address of the other family", "endpoints:\n- addresses: ['fd00::1']\n", 6, "endpoints[0].addresses[0]",
          "as addressType says"},
         {"no address", "endpoints:\n- addresses: []\n", 6, "endpoints[0].addresses", "at least one"},
         {"a loopback address", "endpoints:\n- addresses: [127.0.0.1]\n", 6, "endpoints[0].addresses[0]", "loopback"},
         {"two ports of one name", "ports:\n- {port: 1}\n- {port: 2}\n", 7, "ports[1].name", "each name once"},
         {"a target without a name", "endpoints:\n- addresses: [10.0.0.1]\n  targetRef: {kind: Pod}\n", 7,
          "endpoints[0].targetRef.name", "a text"},
         {"a condition that is no truth value", "endpoints:\n- addresses: [10.0.0.1]\n  conditions: {ready: 1}\n", 7,
          "endpoints[0].conditions.ready", "true or false"}});
  check("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\n",
        {{"no addressType", "endpoints: []\n", 1, "addressType", "expected a text"},
         {"names for addresses", "addressType: FQDN\n", 4, "addressType", "not looked up"}});
}

TEST_CASE("a Pod is read, with the annotations that name its workload") {
  const auto pod = read<model::Pod>(kPod + R"(  namespace: shop
  labels: {version: canary}
  annotations:
    cortexflow.io/weight: "3"
    cortexflow.io/netns: shop-cart
    cortexflow.io/cgroup: shop/cart
spec: {nodeName: n1}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
)");
  CHECK(pod == model::Pod{{"shop", "cart-a"},
                          {{"version", "canary"}},
                          {ip("10.0.0.1"), ip("fd00::1")},
                          "n1",
                          "default",
                          3,
                          "shop/cart",
                          "shop-cart"});
  CHECK(read<model::Pod>(kPod + "status: {podIP: 10.0.0.1}\n").addresses == std::vector{ip("10.0.0.1")});
  CHECK(read<model::Pod>(kPod + "status: {podIP: 10.0.0.1, phase: Succeeded}\n").addresses.empty());
}

TEST_CASE("a Pod whose annotations can't be used is refused") {
  const std::string annotations = "  annotations:\n    cortexflow.io/";
  check(kPod, {{"a weight that isn't in quotes", annotations + "weight: 3\n", 6,
                "metadata.annotations.cortexflow.io/weight", "in quotes"},
               {"a weight below 0", annotations + "weight: '-1'\n", 6, "metadata.annotations.cortexflow.io/weight",
                "0 to 1000"},
               {"a cgroup that climbs", annotations + "cgroup: a/../../b\n", 6,
                "metadata.annotations.cortexflow.io/cgroup", "without .."},
               {"a namespace's path that isn't whole", annotations + "netns: a/b\n", 6,
                "metadata.annotations.cortexflow.io/netns", "a whole path"},
               {"podIP that contradicts podIPs", "status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}]}\n", 5,
                "status.podIP", "the first of podIPs"}});
}

TEST_CASE("a Node is its name and addresses; its host names and what else it says are left") {
  const auto node = read<model::Node>(
      "{apiVersion: v1, kind: Node, metadata: {name: worker-1.example.org}, spec: {podCIDR: 10.0.0.0/24}, status: "
      "{addresses: [{type: Hostname, address: worker-1}, {type: InternalIP, address: \"fd00::2\"}, {type: ExternalIP, "
      "address: 192.0.2.9}]}}");
  CHECK(node.name == "worker-1.example.org");
  CHECK(node.addresses == std::vector{*model::IpAddress::parse("192.0.2.9"), *model::IpAddress::parse("fd00::2")});
  CHECK(read<model::Node>("{apiVersion: v1, kind: Node, metadata: {name: fresh}}").addresses.empty());
}

TEST_CASE("a Namespace has its name as label") {
  const auto ns = read<model::Namespace>("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {a: b}}}");
  CHECK(ns == model::Namespace{"shop", {{"a", "b"}, {"kubernetes.io/metadata.name", "shop"}}});
}

TEST_CASE("a TrafficPolicy fills the model") {
  const auto policy = read<model::TrafficPolicy>(kPolicy + kTarget + R"(  loadBalancing:
    algorithm: ConsistentHash
    consistentHash: {tableSize: 4093}
  subsets:
  - {name: stable, labels: {version: stable}, weight: 90}
  - {name: canary, labels: {version: canary}, weight: 10}
  matchCallerVersion: true
  circuitBreaker: {maxConnections: 100, maxPendingConnections: 20, refuseWith: EPERM}
)");
  CHECK(policy ==
        model::TrafficPolicy{{"shop", "cart"},
                             {"cart"},
                             model::Algorithm::kConsistentHash,
                             4093,
                             {{"stable", {{"version", "stable"}}, 90}, {"canary", {{"version", "canary"}}, 10}},
                             true,
                             {100, 20, true}});
  model::TrafficPolicy least;
  least.name = {"shop", "cart"};
  least.services = {"cart"};
  CHECK(read<model::TrafficPolicy>(kPolicy + kTarget) == least);
}

TEST_CASE("a TrafficPolicy that says nothing clear is refused") {
  check(
      kPolicy,
      {{"a field that doesn't exist", kTarget + "  loadbalancing: {}\n", 6, "spec.loadbalancing", "unknown field"},
       {"no target", "  subsets: []\n", 5, "spec.targetRefs", "at least one target"},
       {"a target of another kind", "  targetRefs: [{kind: Pod, name: a}]\n", 5, "spec.targetRefs[0].kind",
        "expected Service"},
       {"a target twice", "  targetRefs:\n  - {kind: Service, name: a}\n  - {kind: Service, name: a}\n", 7,
        "spec.targetRefs[1].name", "each service once"},
       {"an algorithm that doesn't exist", kTarget + "  loadBalancing: {algorithm: Best}\n", 6,
        "spec.loadBalancing.algorithm", "one of RoundRobin"},
       {"a table without hashing", kTarget + "  loadBalancing: {consistentHash: {tableSize: 251}}\n", 6,
        "spec.loadBalancing.consistentHash", "ConsistentHash"},
       {"a table's size that is no prime",
        kTarget + "  loadBalancing: {algorithm: ConsistentHash, consistentHash: {tableSize: 1000}}\n", 6,
        "spec.loadBalancing.consistentHash.tableSize", "a prime"},
       {"a table that is too large",
        kTarget + "  loadBalancing: {algorithm: ConsistentHash, consistentHash: {tableSize: 65537}}\n", 6,
        "spec.loadBalancing.consistentHash.tableSize", "251 to 16381"},
       {"a subset without labels", kTarget + "  subsets:\n  - {name: a}\n", 7, "spec.subsets[0].labels",
        "at least one label"},
       {"a subset's name twice", kTarget + "  subsets:\n  - {name: a, labels: {v: a}}\n  - {name: a, labels: {v: b}}\n",
        8, "spec.subsets[1].name", "each name once"},
       {"two subsets of the same endpoints",
        kTarget + "  subsets:\n  - {name: a, labels: {v: a}}\n  - {name: b, labels: {v: a}}\n", 8,
        "spec.subsets[1].labels", "subset a has the same"},
       {"a weight below 0", kTarget + "  subsets:\n  - {name: a, labels: {v: a}, weight: -1}\n", 7,
        "spec.subsets[0].weight", "0 to 1000"},
       {"callers' versions without a subset for them", kTarget + "  matchCallerVersion: true\n", 6,
        "spec.matchCallerVersion", "a version"},
       {"a breaker for no connection", kTarget + "  circuitBreaker: {maxConnections: 0}\n", 6,
        "spec.circuitBreaker.maxConnections", "1 to 1000000"},
       {"a breaker that refuses with an unknown error", kTarget + "  circuitBreaker: {refuseWith: EAGAIN}\n", 6,
        "spec.circuitBreaker.refuseWith", "one of ECONNREFUSED"},
       {"an outlier field that doesn't exist", kTarget + "  outlierDetection:\n    consecutive5xxErrors: 5\n", 7,
        "spec.outlierDetection.consecutive5xxErrors", "unknown field"},
       {"an ejection time without a unit",
        kTarget + "  outlierDetection:\n    interval: 1s\n    baseEjectionTime: 30\n", 8,
        "spec.outlierDetection.baseEjectionTime", "such as 30s"},
       {"a longest ejection that is shorter than the first",
        kTarget + "  outlierDetection:\n    baseEjectionTime: 30s\n    maxEjectionTime: 10s\n", 8,
        "spec.outlierDetection.maxEjectionTime", "no less than baseEjectionTime"},
       {"a share above all", kTarget + "  outlierDetection: {maxEjectionPercent: 101}\n", 6,
        "spec.outlierDetection.maxEjectionPercent", "0 to 100"},
       {"outliers by nothing", kTarget + "  outlierDetection: {consecutiveLocalOriginFailures: 0}\n", 6,
        "spec.outlierDetection", "nothing is looked at"}});
}

TEST_CASE("a TrafficPolicy's outlier detection is read, with Istio's defaults") {
  const auto read_outliers = [](const std::string& text) {
    return read<model::TrafficPolicy>(kPolicy + kTarget + "  outlierDetection: " + text + "\n").outlier_detection;
  };
  CHECK_FALSE(read<model::TrafficPolicy>(kPolicy + kTarget).outlier_detection);
  CHECK(read_outliers("{}") == model::OutlierDetection{});
  model::OutlierDetection all;
  all.consecutive_failures = 3;
  all.failure_percentage_threshold = 50;
  all.failure_percentage_volume = 20;
  all.interval = std::chrono::seconds(1);
  all.base_ejection_time = std::chrono::milliseconds(1500);
  all.max_ejection_time = std::chrono::minutes(1);
  all.max_ejection_percent = 34;
  CHECK(read_outliers("{consecutiveLocalOriginFailures: 3, failurePercentageThreshold: 50, "
                      "failurePercentageRequestVolume: 20, interval: 1s, baseEjectionTime: 1500ms, "
                      "maxEjectionTime: 1m, maxEjectionPercent: 34}") == all);
  CHECK(read_outliers("{baseEjectionTime: 10m}")->max_ejection_time == std::chrono::minutes(10));
}

TEST_CASE("a TrafficPolicy's health checks are read") {
  const auto read_check = [](const std::string& health) {
    return read<model::TrafficPolicy>(kPolicy + kTarget + "  health: " + health + "\n");
  };
  using std::chrono::milliseconds;
  SECTION("none: backends are not asked, and half of them have to be left") {
    const auto policy = read<model::TrafficPolicy>(kPolicy + kTarget);
    CHECK_FALSE(policy.health_check);
    CHECK(policy.panic_threshold == 50);
  }
  SECTION("a panic threshold alone") {
    const auto policy = read_check("{panicThreshold: 0}");
    CHECK_FALSE(policy.health_check);
    CHECK(policy.panic_threshold == 0);
  }
  SECTION("TCP with its defaults") {
    const model::HealthCheck expected;
    CHECK(read_check("{type: TCP}").health_check == expected);
    CHECK(expected.interval == milliseconds(30'000));
  }
  SECTION("HTTP, whole") {
    const model::HealthCheck expected{
        model::HealthCheckType::kHttp, "/healthz?deep=1", 200, 299, 8081, milliseconds(500), milliseconds(250), 1, 2};
    CHECK(read_check("{type: HTTP, path: '/healthz?deep=1', expectedStatus: 200-299, port: 8081, interval: 500ms, "
                     "timeout: 250ms, healthyThreshold: 1, unhealthyThreshold: 2}")
              .health_check == expected);
  }
  SECTION("gRPC") {
    const auto check = read_check("{type: GRPC, service: shop.Cart}").health_check;
    REQUIRE(check);
    CHECK(check->type == model::HealthCheckType::kGrpc);
    CHECK(check->grpc_service == "shop.Cart");
  }
  SECTION("one status, and an interval that is shorter than the default timeout") {
    const auto check = read_check("{type: HTTP, expectedStatus: 204, interval: 2s}").health_check;
    REQUIRE(check);
    CHECK(check->status_min == 204);
    CHECK(check->status_max == 204);
    CHECK(check->timeout == milliseconds(2000));
  }
}

TEST_CASE("health checks that say nothing clear are refused") {
  const auto row = [](const char* sentence, const std::string& health, const char* field, const char* reason) {
    return Refusal{sentence, kTarget + "  health: {" + health + "}\n", 6, field, reason};
  };
  check(kPolicy,
        {row("a field that doesn't exist", "type: TCP, intervall: 3s", "spec.health.intervall", "unknown field"),
         row("a type that doesn't exist", "type: ICMP", "spec.health.type", "one of TCP, HTTP, GRPC"),
         row("an interval without a type", "interval: 3s", "spec.health.interval", "expected type"),
         row("a path without HTTP", "type: TCP, path: /a", "spec.health.path", "expected type: HTTP"),
         row("a gRPC service without gRPC", "type: TCP, service: shop.Cart", "spec.health.service",
             "expected type: GRPC"),
         row("a path that is none", "type: HTTP, path: healthz", "spec.health.path", "starts with /"),
         row("a path that would be a second line", "type: HTTP, path: \"/a\\r\\nHost: b\"", "spec.health.path",
             "printable"),
         row("a status that is none", "type: HTTP, expectedStatus: 99", "spec.health.expectedStatus", "100 to 599"),
         row("a range that is empty", "type: HTTP, expectedStatus: 299-200", "spec.health.expectedStatus", "range"),
         row("statuses as a list", "type: HTTP, expectedStatus: [200]", "spec.health.expectedStatus", "found a list"),
         row("a port that is none", "type: TCP, port: 0", "spec.health.port", "1 to 65535"),
         row("an interval without unit", "type: TCP, interval: 30", "spec.health.interval", "such as 30s"),
         row("an interval that is too short", "type: TCP, interval: 99ms", "spec.health.interval", "100ms to 60m"),
         row("an interval that is too long", "type: TCP, interval: 61m", "spec.health.interval", "100ms to 60m"),
         row("a timeout beyond the interval", "type: TCP, interval: 1s, timeout: 2s", "spec.health.timeout",
             "no more than the interval"),
         row("a threshold of none", "type: TCP, healthyThreshold: 0", "spec.health.healthyThreshold", "1 to 100"),
         row("more than all", "panicThreshold: 101", "spec.health.panicThreshold", "0 to 100")});
}
