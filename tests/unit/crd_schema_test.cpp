// SPDX-License-Identifier: Apache-2.0
// The schemas that the API server checks by, held against the readers: what a schema names is put into an object that
// is right, wrong in one place, and the reader has to say what the schema says.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "agent/source/kubernetes/object_reading.h"
#include "agent/source/manifest/document_reader.h"
#include "agent/source/manifest/yaml_reader.h"
#include "identity/conditions/accepted.h"
#include "tests/unit/paths.h"

using namespace cortexflow::source;
using nlohmann::json;

namespace {

using Pointer = json::json_pointer;

json tree_to_json(const Value& value) {
  switch (value.type) {
    case Value::Type::kNull:
      return nullptr;
    case Value::Type::kMap: {
      json map = json::object();
      for (const auto& item : value.items) map[item.key] = tree_to_json(item);
      return map;
    }
    case Value::Type::kList: {
      json list = json::array();
      for (const auto& item : value.items) list.push_back(tree_to_json(item));
      return list;
    }
    case Value::Type::kBool:
    case Value::Type::kInt:
    case Value::Type::kFloat:
      return json::parse(value.text);
    case Value::Type::kString:
      return value.text;
  }
  return {};
}

json read_crd(const std::string& plural) {
  std::ifstream file(std::string(cortexflow::test::kCrds) + "/" + plural + ".yaml");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto documents = split_yaml(text);
  REQUIRE(documents.size() == 1);
  const auto tree = read_yaml(documents[0]);
  REQUIRE(tree);
  return tree_to_json(*tree);
}

json schema_of(const std::string& plural, const std::string& part) {
  return read_crd(plural).at(Pointer("/spec/versions/0/schema/openAPIV3Schema/properties") / part);
}

const std::vector<std::pair<std::string, json>>& right_objects() {
  static const json kPolicy = {
      {"apiVersion", "cortexflow.io/v1alpha1"},
      {"kind", "TrafficPolicy"},
      {"metadata", {{"name", "cart"}, {"namespace", "shop"}}},
      {"spec",
       {{"targetRefs", {{{"group", ""}, {"kind", "Service"}, {"name", "cart"}}}},
        {"loadBalancing", {{"algorithm", "ConsistentHash"}, {"consistentHash", {{"tableSize", 251}}}}},
        {"subsets", {{{"name", "stable"}, {"labels", {{"version", "stable"}}}, {"weight", 1}}}},
        {"matchCallerVersion", true},
        {"circuitBreaker", {{"maxConnections", 1}, {"maxPendingConnections", 1}, {"refuseWith", "EPERM"}}},
        {"health", {{"type", "HTTP"}, {"path", "/"}, {"expectedStatus", 200}, {"port", 80}}},
        {"outlierDetection", {{"consecutiveLocalOriginFailures", 5}}}}}};
  static const json kDeny = {{"apiVersion", "cortexflow.io/v1alpha1"},
                             {"kind", "DenyList"},
                             {"metadata", {{"name", "scanners"}}},
                             {"spec", {{"entries", {{{"cidr", "192.0.2.0/24"}, {"ports", {80}}}}}}}};
  static const json kAuthorization = {{"apiVersion", "cortexflow.io/v1alpha1"},
                                      {"kind", "AuthorizationPolicy"},
                                      {"metadata", {{"name", "cart"}, {"namespace", "shop"}}},
                                      {"spec",
                                       {{"selector", {{"matchLabels", {{"app", "cart"}}}}},
                                        {"rules",
                                         {{{"from", {{{"source", {{"namespaces", {"shop"}}}}}}},
                                           {"to", {{{"operation", {{"ports", {80}}, {"protocols", {"TCP"}}}}}}}}}}}}};
  static const std::vector<std::pair<std::string, json>> kAll{
      {"trafficpolicies", kPolicy}, {"denylists", kDeny}, {"authorizationpolicies", kAuthorization}};
  return kAll;
}

// Empty: it is taken.
std::string refusal(const json& object) {
  const auto read = read_document(object.dump());
  return read.refused.empty() ? "" : read.refused[0].problem.reason;
}

std::string refusal_with(json object, const Pointer& at, json value) {
  object[at] = std::move(value);
  return refusal(object);
}

std::string joined(const json& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text.get<std::string>();
  return out;
}

std::set<std::string> split(const std::string& list) {
  std::set<std::string> out;
  for (std::size_t from = 0; from < list.size();) {
    const auto comma = std::min(list.find(", ", from), list.size());
    out.insert(list.substr(from, comma - from));
    from = comma + 2;
  }
  return out;
}

void check_node(const json& schema, const json& object, const Pointer& at);

void check_object(const json& schema, const json& object, const Pointer& at) {
  std::set<std::string> names;
  for (const auto& [name, unused] : schema["properties"].items()) names.insert(name);
  const std::string unknown = "unknown field; expected one of ";
  const auto said = refusal_with(object, at / "noSuchField", 1);
  CAPTURE(said);
  REQUIRE(said.starts_with(unknown));
  CHECK(split(said.substr(unknown.size())) == names);
  for (const auto& name : schema.value("required", json::array())) {
    json without = object;
    without[at].erase(name.get<std::string>());
    CHECK(refusal(without) != "");
  }
  for (const auto& [name, field] : schema["properties"].items()) {
    CHECK(field.contains("description"));
    check_node(field, object, at / name);
  }
}

void check_node(const json& schema, const json& object, const Pointer& at) {
  CAPTURE(at.to_string());
  const std::string type = schema.value("type", "");
  CHECK(refusal_with(object, at, type == "array" ? json::object() : json::array()) != "");
  if (schema.contains("enum")) {
    const auto said = refusal_with(object, at, "NoSuchChoice");
    const auto& choices = schema["enum"];
    if (choices.size() > 1) CHECK(said.starts_with("expected one of " + joined(choices) + ", found"));
    if (choices.size() == 1)
      CHECK(said.starts_with(choices[0] == "" ? "expected \"\"" : "expected " + joined(choices)));
    for (const auto& choice : choices) {
      CHECK(refusal_with(object, at, choice).find("found") == std::string::npos);  // may want a field beside it
    }
  } else if (type == "integer") {
    const auto min = schema["minimum"].get<std::int64_t>(), max = schema["maximum"].get<std::int64_t>();
    const auto words = "expected a number from " + std::to_string(min) + " to " + std::to_string(max);
    CHECK(refusal_with(object, at, max + 1).starts_with(words));
    CHECK(refusal_with(object, at, min - 1).starts_with(words));
  } else if (type == "array") {
    const auto most = schema["maxItems"].get<std::size_t>();
    const auto words = "expected no more than " + std::to_string(most) + " items";
    CHECK(refusal_with(object, at, json(most + 1, nullptr)).starts_with(words));
    check_node(schema["items"], object, at / 0);
  } else if (type == "object" && schema.contains("properties")) {
    check_object(schema, object, at);
  }
}

}  // namespace

TEST_CASE("the CRDs' schemas name the fields, choices and ranges that the readers take, and no others") {
  for (const auto& [plural, object] : right_objects()) {
    CAPTURE(plural);
    REQUIRE(refusal(object) == "");
    check_object(schema_of(plural, "spec"), object, Pointer("/spec"));
  }
}

// What metav1.Condition is; the server prunes what the schema has no name for.
TEST_CASE("the CRDs' schemas take the condition that is written, by its type, and it is read with the manifest") {
  for (const auto& [plural, object] : right_objects()) {
    CAPTURE(plural);
    const auto crd = read_crd(plural).at("/spec/versions/0"_json_pointer);
    CHECK(crd.at("/subresources/status"_json_pointer).is_object());
    const auto schema = schema_of(plural, "status");
    CHECK(schema == schema_of("denylists", "status"));
    const auto& list = schema.at("properties").at("conditions");
    CHECK(list.at("x-kubernetes-list-type") == "map");
    CHECK(list.at("x-kubernetes-list-map-keys") == json::array({"type"}));
    auto seen = object;
    const auto* resource = find_resource("cortexflow.io", object.at("kind").get<std::string>());
    const auto written =
        cortexflow::identity::condition_to_write(seen, *resource, {"shop", "cart"}, "2026-01-02T08:00:00Z");
    std::set<std::string> names, known;
    for (const auto& [name, unused] : written.items()) names.insert(name);
    for (const auto& [name, field] : list.at("items").at("properties").items()) {
      known.insert(name);
      CHECK(field.contains("description"));
    }
    CHECK(names == known);
    for (const auto& name : list.at("items").at("required")) CHECK(written.contains(name.get<std::string>()));
    // As `kubectl get -o yaml` writes it.
    auto kept = object;
    kept["status"]["conditions"] = json::array({written});
    CHECK(refusal(kept) == "");
  }
}
