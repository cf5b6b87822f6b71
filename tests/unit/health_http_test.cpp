// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/health/http_exchange.h"

using namespace cortexflow;
using namespace cortexflow::health;

namespace {

Target http_target(const char* address = "10.0.0.1") {
  Target made;
  made.address = *model::IpAddress::parse(address);
  made.port = 8080;
  made.check.type = model::HealthCheckType::kHttp;
  made.check.path = "/healthz";
  made.check.status_max = 299;
  return made;
}

}  // namespace

TEST_CASE("the request names path and host") {
  CHECK_THAT(HttpExchange(http_target()).take_output(),
             Catch::StartsWith("GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n") && Catch::EndsWith("\r\n\r\n"));
  CHECK_THAT(HttpExchange(http_target("2001:db8::1")).take_output(),
             Catch::Contains("\r\nHost: [2001:db8::1]:8080\r\n"));
}

TEST_CASE("an answer is judged by its status, however it is cut into pieces") {
  struct Row {
    const char* sentence;
    std::string answer;
    std::optional<CheckResult> result;  // nothing: more is needed
    const char* words;
  };
  const Row rows[]{
      {"expected", "HTTP/1.1 200 OK\r\n", CheckResult::kHealthy, "status 200"},
      {"the whole answer", "HTTP/1.1 204 No Content\r\nServer: a\r\n\r\n", CheckResult::kHealthy, "status 204"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n", CheckResult::kHealthy, "status 200"},
      {"no reason", "HTTP/1.1 200\r\n", CheckResult::kHealthy, "status 200"},
      {"lines that end without CR", "HTTP/1.1 200 OK\n", CheckResult::kHealthy, "status 200"},
      {"an error", "HTTP/1.1 500 Oops\r\n", CheckResult::kStatus, "status 500, expected 200-299"},
      {"a redirect is not followed", "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", CheckResult::kStatus,
       "status 302, expected 200-299"},
      {"an interim answer before the one that counts", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n",
       CheckResult::kHealthy, "status 200"},
      {"an interim answer alone", "HTTP/1.1 100 Continue\r\n\r\n", std::nullopt, ""},
      {"another protocol offered", "HTTP/1.1 101 Switching Protocols\r\n\r\n", CheckResult::kStatus,
       "status 101, expected 200-299"},
      {"half a status line", "HTTP/1.1 20", std::nullopt, ""},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", CheckResult::kProtocol, "the answer is not HTTP/1"},
      {"its first octet tells", "\x16", CheckResult::kProtocol, "the answer is not HTTP/1"},
      {"HTTP/2's first frame", std::string("\0\0\x12\4", 4), CheckResult::kProtocol, "the answer is not HTTP/1"},
      {"a status that is none", "HTTP/1.1 20x OK\r\n", CheckResult::kProtocol,
       "the answer's status line is not HTTP/1"},
      {"four digits", "HTTP/1.1 2000 OK\r\n", CheckResult::kProtocol, "the answer's status line is not HTTP/1"},
      {"a status beyond all", "HTTP/1.1 600 OK\r\n", CheckResult::kProtocol, "the answer's status line is not HTTP/1"},
      {"no status", "HTTP/1.1\r\n", CheckResult::kProtocol, "the answer's status line is not HTTP/1"},
      {"a line without end", "HTTP/1.1 200 " + std::string(20000, 'x'), CheckResult::kProtocol,
       "no status within the answer's first 16384 octets"},
      {"fields without end", "HTTP/1.1 103 Early Hints\r\n" + std::string(20000, 'x'), CheckResult::kProtocol,
       "no status within the answer's first 16384 octets"},
  };
  for (const auto& row : rows) {
    for (const std::size_t piece : {row.answer.size(), std::size_t{1}}) {
      INFO(row.sentence << ", in pieces of " << piece);
      HttpExchange exchange(http_target());
      std::optional<Outcome> outcome;
      for (std::size_t at = 0; at < row.answer.size() && !outcome; at += piece) {
        outcome = exchange.received(std::string_view(row.answer).substr(at, piece));
      }
      REQUIRE(outcome.has_value() == row.result.has_value());
      if (!outcome) continue;
      CHECK(outcome->result == *row.result);
      CHECK(outcome->words == row.words);
    }
  }
}
