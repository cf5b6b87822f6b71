// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;

TEST_CASE("Refusals are JSON that names the cause") {
  const Serving serving;
  const std::pair<const char*, int> kCases[] = {
      {"/v1/nothing", 404},
      {"/v1/dns/lookups?colour=red", 400},
      {"/v1/dns/lookups?type=NOSUCH", 400},
      {"/v1/dns/lookups?limit=many", 400},
      {"/v1/dns/lookups?follow=perhaps", 400},
      {"/v1/dns/lookups?since=yesterday", 400},
      {"/v1/dns/lookups?server=nonsense", 400},
      {"/v1/dns/lookups?name=a%00b", 400},
      {"/v1/dns/lookups?limit=1&limit=2", 400},
      {"/v1/dns/lookups?by=name", 400},
      {"/v1/dns/top?by=colour", 400},
      {"/v1/dns/top?sort=colour", 400},
      {"/v1/dns/top?outcome=late", 400},
      {"/v1/dns/top?follow=true", 400},
      {"/v1/logs?lines=x", 400},
      {"/v1/logs?lines=0", 400},
      {"/v1/logs?colour=red", 400},
      {"/v1/status?colour=red", 400},
      {"/v1/version?name=a", 400},
      {"/v1/bpf?x=1", 400},
      {"/v1/workloads?x=1", 400},
      {"/v1/openapi.json?x=1", 400},
      {"/v1/lb/simulation", 400},
      {"/v1/lb/simulation?service=shop/none", 404},
      {"/v1/lb/simulation?service=shop/cart&callers=0", 400},
      {"/v1/lb/simulation?service=shop/cart&colour=red", 400},
      {"/v1/explain?caller=shop/a", 400},
      {"/v1/explain?caller=shop/a&target=shop/cart", 400},
  };
  for (const auto& [path, status] : kCases) {
    INFO(path);
    const auto response = get(serving.directory.socket(), path);
    REQUIRE(response);
    CHECK(response->status == status);
    CHECK_FALSE(ordered_json::parse(response->body)["error"]["message"].get<std::string>().empty());
  }
}

TEST_CASE("A method that a path doesn't take is refused, with those that it takes") {
  const Serving serving;
  std::map<std::string, std::vector<std::string>> taken;
  for (const auto& route : Server::routes()) taken[route.path] = {"GET", "HEAD"};
  for (const auto& write : Server::writes()) taken[write.path].push_back(write.method);
  for (const auto& [path, methods] : taken) {
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
      if (std::find(methods.begin(), methods.end(), method) != methods.end()) continue;
      INFO(method << " " << path);
      httplib::Request request;
      request.method = method;
      request.path = path;
      request.body = std::string(method) == "POST" ? "{}" : "";
      const auto response = client_of(serving.directory.socket()).send(request);
      REQUIRE(response);
      CHECK(response->status == 405);
      CHECK(response->get_header_value("Allow") == fmt::format("{}", fmt::join(methods, ", ")));
      CHECK(ordered_json::parse(response->body)["error"]["message"].get<std::string>().find(method) !=
            std::string::npos);
    }
  }
  const auto head = client_of(serving.directory.socket()).Head("/v1/status");
  REQUIRE(head);
  CHECK(head->status == 200);
  CHECK(head->body.empty());
}

TEST_CASE("A path that there isn't is not found, by any method") {
  const Serving serving;
  const auto response = client_of(serving.directory.socket()).Post("/v1/nothing", "", "text/plain");
  REQUIRE(response);
  CHECK(response->status == 404);
}

TEST_CASE("Log lines come without their line ends") {
  const Serving serving;
  const auto response = get(serving.directory.socket(), "/v1/logs?lines=2");
  REQUIRE(response);
  CHECK(ordered_json::parse(response->body)["lines"] == ordered_json({"line", "line"}));
}
