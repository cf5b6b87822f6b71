// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_fixture.h"
#include "tests/unit/schema_check.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;

namespace {

constexpr const char* kJsonType = "application/json";

httplib::Result put(const Serving& serving, const std::string& path, const std::string& body,
                    const char* type = kJsonType) {
  return client_of(serving.directory.socket()).Put(path, body, type);
}

}  // namespace

TEST_CASE("What an operator asks for is done, and the service answered as it is then") {
  Serving serving;
  const auto document = ordered_json::parse(get(serving.directory.socket(), "/v1/openapi.json")->body);
  const auto check = [&](const httplib::Result& response) {
    REQUIRE(response);
    CHECK(response->status == 200);
    const auto body = ordered_json::parse(response->body);
    CHECK(SchemaCheck(document)(body, document["components"]["schemas"]["ServiceNow"]).empty());
    CHECK(body["services"][0]["name"] == "shop/cart");
  };
  check(put(serving, "/v1/lb/weights", R"({"service":"shop/cart","weights":{"stable":0,"canary":100}})"));
  check(put(serving, "/v1/lb/drain", R"({"service":"shop/cart","backend":"10.0.0.1:8080"})"));
  auto client = client_of(serving.directory.socket());
  check(client.Delete("/v1/lb/weights?service=shop/cart"));
  check(client.Delete("/v1/lb/drain?service=shop/cart&backend=cart-1"));
  CHECK(serving.node.done() == std::vector<std::string>{"set_weights shop/cart stable=0 canary=100",
                                                        "set_drained shop/cart 10.0.0.1:8080 true",
                                                        "reset_weights shop/cart",
                                                        "set_drained shop/cart cart-1 false"});
}

TEST_CASE("A body or parameters that are not as described change nothing") {
  Serving serving;
  struct Case {
    const char* path;
    const char* body;
    int status;
  };
  const Case kCases[] = {
      {"/v1/lb/weights", "", 400},
      {"/v1/lb/weights", "[]", 400},
      {"/v1/lb/weights", "{", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart"})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":{}})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":[1]})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":{"stable":-1}})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":{"stable":"1"}})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":{"stable":1.5}})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":{"stable":4294967296}})", 400},
      {"/v1/lb/weights", R"({"service":7,"weights":{"stable":1}})", 400},
      {"/v1/lb/weights", R"({"service":"shop/cart","weights":{"stable":1},"more":1})", 400},
      {"/v1/lb/weights", R"({"service":"shop/none","weights":{"stable":1}})", 404},
      {"/v1/lb/weights?service=shop/cart", R"({"service":"shop/cart","weights":{"stable":1}})", 400},
      {"/v1/lb/drain", R"({"service":"shop/cart"})", 400},
      {"/v1/lb/drain", R"({"service":"shop/cart","backend":null})", 400},
  };
  for (const auto& [path, body, status] : kCases) {
    INFO(path << " " << body);
    const auto response = put(serving, path, body);
    REQUIRE(response);
    CHECK(response->status == status);
    CHECK_FALSE(ordered_json::parse(response->body)["error"]["message"].get<std::string>().empty());
  }
  CHECK(put(serving, "/v1/lb/drain", "service=shop/cart", "text/plain")->status == 415);
  auto client = client_of(serving.directory.socket());
  CHECK(client.Delete("/v1/lb/weights")->status == 400);
  CHECK(client.Delete("/v1/lb/weights?service=shop/cart&backend=a")->status == 400);
  CHECK(client.Delete("/v1/lb/drain?service=shop/cart")->status == 400);
  CHECK(serving.node.done().empty());
}

TEST_CASE("Policies that an operator applies or deletes are answered as changes, refusals with their status") {
  Serving serving;
  const auto document = ordered_json::parse(get(serving.directory.socket(), "/v1/openapi.json")->body);
  auto client = client_of(serving.directory.socket());
  const auto check = [&](const httplib::Result& response, const char* change, bool in_force) {
    REQUIRE(response);
    CHECK(response->status == 200);
    const auto body = ordered_json::parse(response->body);
    CHECK(SchemaCheck(document)(body, document["components"]["schemas"]["PolicyChanges"]).empty());
    CHECK(body["changes"][0]["change"] == change);
    CHECK(body["in_force"] == in_force);
  };
  check(put(serving, "/v1/policies", R"({"documents":"kind: x","dry_run":false})"), "created", true);
  check(put(serving, "/v1/policies", R"({"documents":"kind: x","dry_run":true})"), "created", false);
  check(client.Delete("/v1/policies?name=shop/allow-web&kind=NetworkPolicy"), "deleted", true);
  const auto tried = client.Post("/v1/policies/simulation", R"({"documents":"kind: x","since":"1h"})", kJsonType);
  REQUIRE(tried);
  CHECK(tried->status == 200);
  for (const auto& wrong :
       SchemaCheck(document)(ordered_json::parse(tried->body), document["components"]["schemas"]["PolicySimulation"])) {
    FAIL_CHECK(wrong);
  }
  CHECK(client.Post("/v1/policies/simulation", R"({"documents":"kind: x","since":"x"})", kJsonType)->status == 400);
  CHECK(client.Post("/v1/policies/simulation", R"({"documents":"kind: x"})", kJsonType)->status == 400);
  CHECK(client.Delete("/v1/policies?name=shop/other")->status == 404);
  CHECK(client.Delete("/v1/policies")->status == 400);
  for (const char* body : {"", "[]", R"({"documents":"x"})", R"({"documents":1,"dry_run":true})",
                           R"({"documents":"x","dry_run":1})", R"({"documents":"","dry_run":false})"}) {
    INFO(body);
    CHECK(put(serving, "/v1/policies", body)->status == 400);
  }
}
