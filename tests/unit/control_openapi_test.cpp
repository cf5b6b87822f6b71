// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "agent/control/json.h"
#include "agent/control/lookup_filter.h"
#include "tests/unit/control_fixture.h"
#include "tests/unit/schema_check.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;

TEST_CASE("A lookup's JSON keeps its facts") {
  const auto json = ordered_json::parse(to_json(answered()).dump());
  CHECK(json["start"] == "2023-11-14T22:13:20.123456789Z");
  CHECK(json["latency_ns"] == 12'000'000);
  CHECK(json["outcome"] == "answered");
  CHECK(json["qtype"] == "A");
  CHECK(json["qclass"] == "IN");
  CHECK(json["rcode"] == "NOERROR");
  CHECK(json["server"] == "192.0.2.53");
  CHECK(json["transport"] == "udp");
  CHECK(json["owner_source"] == "unknown");
  CHECK(json["workload"]["name"] == "nginx.service");
  CHECK(to_json(timed_out())["rcode"].is_null());
  CHECK(to_json(timed_out())["outcome"] == "timeout");
}

namespace {

ordered_json openapi(const Serving& serving) {
  const auto response = get(serving.directory.socket(), "/v1/openapi.json");
  REQUIRE(response);
  return ordered_json::parse(response->body);
}

// The path with its required parameters, as openapi.json's examples have them; but `without`.
std::string path_with_required(const ordered_json& document, const ordered_json& operation, const std::string& path,
                               const std::string& without = "") {
  std::string query = "?";
  for (const auto& item : operation.value("parameters", ordered_json::array())) {
    const auto& parameter = SchemaCheck(document).resolve(item);
    if (!parameter.value("required", false) || parameter["name"] == without) continue;
    query += parameter["name"].get<std::string>() + "=" + parameter["example"].get<std::string>() + "&";
  }
  return path + query.substr(0, query.size() - 1);
}

std::set<std::string> described_parameters(const ordered_json& document, const ordered_json& operation) {
  std::set<std::string> names;
  for (const auto& parameter : operation.value("parameters", ordered_json::array())) {
    names.insert(SchemaCheck(document).resolve(parameter)["name"].get<std::string>());
  }
  return names;
}

std::set<std::string> taken_parameters(const Server::Route& route) {
  std::set<std::string> names(route.parameters.own.begin(), route.parameters.own.end());
  for (const auto& field : route.parameters.filters) {
    names.insert(field);
    names.insert("not." + field);
  }
  return names;
}

}  // namespace

TEST_CASE("openapi.json lists the paths that are served, and the parameters that each takes") {
  const Serving serving;
  const auto document = openapi(serving);
  std::set<std::string> served, served_methods, methods;
  for (const auto& route : Server::routes()) {
    INFO(route.path);
    served.insert(route.path);
    served_methods.insert("get " + route.path);
    REQUIRE(document["paths"].contains(route.path));
    CHECK(described_parameters(document, document["paths"][route.path]["get"]) == taken_parameters(route));
  }
  std::set<std::string> listed;
  for (const auto& [path, item] : document["paths"].items()) {
    listed.insert(path);
    for (const auto& [method, operation] : item.items()) methods.insert(method + " " + path);
  }
  for (const auto& write : Server::writes()) {
    INFO(write.method << " " << write.path);
    served.insert(write.path);
    const auto method = write.method == "PUT" ? "put" : write.method == "POST" ? "post" : "delete";
    served_methods.insert(std::string(method) + " " + write.path);
    const std::set<std::string> taken(write.parameters.own.begin(), write.parameters.own.end());
    CHECK(described_parameters(document, document["paths"][write.path][method]) == taken);
  }
  CHECK(listed == served);
  CHECK(methods == served_methods);
}

TEST_CASE("openapi.json's bounds and choices are those that the server holds to") {
  const Serving serving;
  const auto document = openapi(serving);
  for (const auto& route : Server::routes()) {
    for (const auto& item : document["paths"][route.path]["get"].value("parameters", ordered_json::array())) {
      const auto& parameter = SchemaCheck(document).resolve(item);
      const auto& schema = parameter["schema"];
      const auto status = [&](const std::string& value) {
        const auto name = parameter["name"].get<std::string>();
        const auto path = path_with_required(document, document["paths"][route.path]["get"], route.path, name);
        const auto response =
            get(serving.directory.socket(), path + (path == route.path ? "?" : "&") + name + "=" + value);
        REQUIRE(response);
        return response->status;
      };
      INFO(route.path << " " << parameter["name"]);
      if (schema.contains("maximum")) {
        CHECK(status(schema["minimum"].dump()) == 200);
        CHECK(status(schema["maximum"].dump()) == 200);
        CHECK(status(std::to_string(schema["minimum"].get<int>() - 1)) == 400);
        CHECK(status(std::to_string(schema["maximum"].get<std::int64_t>() + 1)) == 400);
      }
      for (const auto& choice : schema.value("enum", ordered_json::array())) {
        CHECK(status(choice.get<std::string>()) == 200);
      }
      if (schema.contains("enum")) CHECK(status("none-of-them") == 400);
    }
  }
}

TEST_CASE("Every answer has the fields that openapi.json describes, and no others") {
  const Serving serving;
  const auto document = openapi(serving);
  const SchemaCheck check(document);
  for (const auto& route : Server::routes()) {
    if (route.path == "/v1/openapi.json") continue;  // "an object"
    const auto& content = document["paths"][route.path]["get"]["responses"]["200"]["content"];
    const auto type = content.begin().key();
    const auto path = path_with_required(document, document["paths"][route.path]["get"], route.path);
    const auto response = get(serving.directory.socket(), path);
    REQUIRE(response);
    CHECK(response->status == 200);
    CHECK(response->get_header_value("Content-Type") == type);
    std::istringstream lines(response->body);
    for (std::string line; std::getline(lines, line);) {
      for (const auto& wrong : check(ordered_json::parse(line), content[type]["schema"])) {
        FAIL_CHECK(route.path << " " << wrong);
      }
    }
  }
  const auto refused = get(serving.directory.socket(), "/v1/status?colour=red");
  REQUIRE(refused);
  CHECK(check(ordered_json::parse(refused->body), document["components"]["schemas"]["Error"]).empty());
}

TEST_CASE("The check of answers finds a missing field, a further one and one of another type") {
  const auto document = ordered_json::parse(R"({"components":{"schemas":{"Row":
      {"type":"object","properties":{"a":{"type":["integer","null"],"minimum":0}}}}}})");
  const auto row = ordered_json::parse(R"({"$ref":"#/components/schemas/Row"})");
  const SchemaCheck check(document);
  CHECK(check(ordered_json::parse(R"({"a":1})"), row).empty());
  CHECK(check(ordered_json::parse(R"({"a":null})"), row).empty());
  for (const char* bad : {"{}", R"({"a":1,"b":2})", R"({"a":"1"})", R"({"a":-1})", "[]"}) {
    INFO(bad);
    CHECK_FALSE(check(ordered_json::parse(bad), row).empty());
  }
}
