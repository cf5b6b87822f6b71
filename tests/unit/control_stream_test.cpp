// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;

TEST_CASE("Lookups come one a line and end with the counts") {
  const Serving serving;
  const auto response = get(serving.directory.socket(), "/v1/dns/lookups?failed=true");
  REQUIRE(response);
  CHECK(response->get_header_value("Content-Type") == "application/x-ndjson");
  const auto lines = lines_of(response->body);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["lookup"]["outcome"] == "timeout");
  CHECK(lines[1]["summary"] == ordered_json({{"seen", 3}, {"shown", 1}, {"lost", 0}}));
}

TEST_CASE("A limit ends a stream that follows") {
  const Serving serving;
  const auto response = get(serving.directory.socket(), "/v1/dns/lookups?since=1h&follow=true&limit=2");
  REQUIRE(response);
  const auto lines = lines_of(response->body);
  REQUIRE(lines.size() == 3);
  CHECK(lines[2]["summary"]["shown"] == 2);
}

TEST_CASE("A watcher gets its summary when the agent drains") {
  Serving serving;
  std::string body;
  std::thread watcher([&] {
    if (const auto response = get(serving.directory.socket(), "/v1/dns/lookups?follow=true")) body = response->body;
  });
  std::this_thread::sleep_for(100ms);
  serving.node.drains = true;
  watcher.join();
  const auto lines = lines_of(body);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].contains("summary"));
}

TEST_CASE("A watcher gets its summary where the server stops as soon as the agent drains") {
  std::string body;
  std::thread watcher;
  {
    Serving serving;
    watcher = std::thread([&body, socket = serving.directory.socket()] {
      client_of(socket).Get("/v1/dns/lookups?follow=true", [&body](const char* data, std::size_t size) {
        body.append(data, size);
        return true;
      });
    });
    std::this_thread::sleep_for(100ms);
  }
  watcher.join();
  CHECK(body.find("\"summary\"") != std::string::npos);
}
