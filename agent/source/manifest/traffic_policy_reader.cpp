// SPDX-License-Identifier: Apache-2.0
// cortexflow.io/v1alpha1 TrafficPolicy:
//
//   spec:
//     targetRefs: [{group: "", kind: Service, name: cart}]   # of the policy's namespace
//     loadBalancing:
//       algorithm: ConsistentHash        # RoundRobin (default), Random, Weighted, LeastConnections, LeastLatency,
//                                        # ConsistentHash
//       consistentHash: {tableSize: 16381}                   # a prime
//     subsets:                           # parts of the endpoints, by their pods' labels
//     - {name: stable, labels: {version: stable}, weight: 90}
//     - {name: canary, labels: {version: canary}, weight: 10}
//     matchCallerVersion: true           # callers labelled version=X reach the subset whose labels say version=X
//     circuitBreaker: {maxConnections: 100, maxPendingConnections: 20, refuseWith: EPERM}  # or ECONNREFUSED
//     health:                            # health_reader.cpp
//       {type: HTTP, path: /healthz, interval: 30s, panicThreshold: 50}
//     outlierDetection: {}               # outlier_reader.cpp
//
// A field that is not known is refused: a typing error must not pass for a default.
#include <algorithm>

#include "agent/source/manifest/health_reader.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/names.h"
#include "agent/source/manifest/object_readers.h"
#include "agent/source/manifest/outlier_reader.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kTargetsMax = 16;  // as Gateway API's policies
constexpr std::size_t kSubsetsMax = 16;
constexpr std::int64_t kSubsetWeightMax = 1000;
constexpr std::int64_t kTableSizeMin = 251;
constexpr std::int64_t kTableSizeMax = 16381;  // the largest prime within the kernel's limit of slots a table
constexpr std::int64_t kConnectionsMax = 1'000'000;

bool is_prime(std::int64_t number) {
  for (std::int64_t factor = 2; factor * factor <= number; ++factor) {
    if (number % factor == 0) return false;
  }
  return number > 1;
}

std::vector<std::string> read_targets(const Field& field) {
  std::vector<std::string> services;
  const auto items = field.items(kTargetsMax);
  if (items.empty()) field.expected("at least one target");
  for (const Field& item : items) {
    item.only({"group", "kind", "name"});
    if (!item["group"].text().empty()) item["group"].expected("\"\", the group of Service");
    if (item["kind"].required_text() != "Service") item["kind"].expected("Service");
    std::string name = item["name"].required_text();
    if (std::find(services.begin(), services.end(), name) != services.end()) item["name"].expected("each service once");
    services.push_back(std::move(name));
  }
  return services;
}

void read_load_balancing(const Field& field, model::TrafficPolicy& policy) {
  field.only({"algorithm", "consistentHash"});
  policy.algorithm = static_cast<model::Algorithm>(field["algorithm"].choice(
      {"RoundRobin", "Random", "Weighted", "LeastConnections", "ConsistentHash", "LeastLatency"}, 0));
  const Field hash = field["consistentHash"];
  hash.only({"tableSize"});
  if (hash.present() && policy.algorithm != model::Algorithm::kConsistentHash) {
    hash.refuse("expected algorithm: ConsistentHash beside it");
  }
  const Field size = hash["tableSize"];
  if (const auto number = size.number(kTableSizeMin, kTableSizeMax)) {
    if (!is_prime(*number)) size.expected("a prime, such as 251, 1021, 4093 or 16381");
    policy.hash_table_size = static_cast<std::uint32_t>(*number);
  }
}

model::CircuitBreaker read_circuit_breaker(const Field& field) {
  field.only({"maxConnections", "maxPendingConnections", "refuseWith"});
  model::CircuitBreaker breaker;
  const auto limit = [&](const char* name) {
    return static_cast<std::uint32_t>(field[name].number(1, kConnectionsMax).value_or(0));
  };
  breaker.max_connections = limit("maxConnections");
  breaker.max_pending = limit("maxPendingConnections");
  breaker.refuse_with_eperm = field["refuseWith"].choice({"ECONNREFUSED", "EPERM"}, 0) == 1;
  return breaker;
}

std::vector<model::Subset> read_subsets(const Field& field) {
  std::vector<model::Subset> subsets;
  for (const Field& item : field.items(kSubsetsMax)) {
    item.only({"name", "labels", "weight"});
    model::Subset subset;
    subset.name = item["name"].required_text();
    if (!is_dns1123_label(subset.name)) item["name"].expected("up to 63 of a-z, 0-9 and -, no - first or last");
    subset.labels = read_labels(item["labels"]);
    if (subset.labels.empty()) item["labels"].expected("at least one label");
    subset.weight = static_cast<std::uint32_t>(item["weight"].number(0, kSubsetWeightMax).value_or(0));
    for (const model::Subset& other : subsets) {
      if (other.name == subset.name) item["name"].expected("each name once");
      if (other.labels == subset.labels)
        item["labels"].refuse("expected labels of its own; subset " + other.name + " has the same");
    }
    subsets.push_back(std::move(subset));
  }
  return subsets;
}

}  // namespace

model::TrafficPolicy read_traffic_policy(const Field& object) {
  model::TrafficPolicy policy;
  policy.name = read_metadata(object, NameRule::kDns1123Subdomain).name;
  const Field spec = object["spec"];
  if (!spec.present()) spec.expected("a mapping");
  spec.only(
      {"targetRefs", "loadBalancing", "subsets", "matchCallerVersion", "circuitBreaker", "health", "outlierDetection"});
  policy.services = read_targets(spec["targetRefs"]);
  read_load_balancing(spec["loadBalancing"], policy);
  policy.subsets = read_subsets(spec["subsets"]);
  policy.match_caller_version = spec["matchCallerVersion"].flag(false);
  const bool by_version = std::any_of(policy.subsets.begin(), policy.subsets.end(),
                                      [](const model::Subset& subset) { return subset.labels.contains("version"); });
  if (policy.match_caller_version && !by_version) {
    spec["matchCallerVersion"].refuse("expected a subset whose labels have a version");
  }
  policy.circuit_breaker = read_circuit_breaker(spec["circuitBreaker"]);
  read_health(spec["health"], policy);
  if (const Field outlier = spec["outlierDetection"]; outlier.present()) {
    policy.outlier_detection = read_outlier_detection(outlier);
  }
  return policy;
}

}  // namespace cortexflow::source
