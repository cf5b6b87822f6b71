// SPDX-License-Identifier: Apache-2.0
// The messages octet by octet, and what becomes of answers that are no gRPC; a real gRPC server is asked in
// tests/netns/test_health.py.
#include <catch2/catch.hpp>

#include "agent/health/grpc_exchange.h"
#include "agent/health/grpc_message.h"

using namespace cortexflow;
using namespace cortexflow::health;

namespace {

std::string octets(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

Target grpc_target() {
  Target made;
  made.address = *model::IpAddress::parse("10.0.0.1");
  made.port = 50051;
  made.check.type = model::HealthCheckType::kGrpc;
  return made;
}

}  // namespace

TEST_CASE("a health request is framed protobuf") {
  CHECK(health_request("") == octets({0, 0, 0, 0, 0}));
  CHECK(health_request("ab") == octets({0, 0, 0, 0, 4, 0x0a, 2, 'a', 'b'}));
  CHECK(health_request(std::string(300, 'x')).substr(0, 8) == octets({0, 0, 0, 1, 0x2f, 0x0a, 0xac, 2}));
}

TEST_CASE("a health response is read, and what is none is told from one") {
  struct Row {
    const char* sentence;
    std::string framed;
    std::optional<std::uint64_t> status;
  };
  const Row rows[]{
      {"SERVING", octets({0, 0, 0, 0, 2, 8, 1}), 1},
      {"NOT_SERVING", octets({0, 0, 0, 0, 2, 8, 2}), 2},
      {"nothing said is UNKNOWN", octets({0, 0, 0, 0, 0}), 0},
      {"a field of a later version is passed over", octets({0, 0, 0, 0, 6, 0x12, 2, 'a', 'b', 8, 1}), 1},
      {"so are fixed-width ones", octets({0, 0, 0, 0, 7, 0x1d, 1, 2, 3, 4, 8, 1}), 1},
      {"the last of two counts", octets({0, 0, 0, 0, 4, 8, 2, 8, 1}), 1},
      {"nothing at all", "", std::nullopt},
      {"half a prefix", octets({0, 0, 0}), std::nullopt},
      {"compressed, which nobody asked for", octets({1, 0, 0, 0, 2, 8, 1}), std::nullopt},
      {"shorter than it says", octets({0, 0, 0, 0, 3, 8, 1}), std::nullopt},
      {"longer than it says", octets({0, 0, 0, 0, 1, 8, 1}), std::nullopt},
      {"a field that ends early", octets({0, 0, 0, 0, 2, 0x12, 9}), std::nullopt},
      {"a group, which no message has", octets({0, 0, 0, 0, 1, 0x0b}), std::nullopt},
      {"a number without end", octets({0, 0, 0, 0, 2, 8, 0x80}), std::nullopt},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    CHECK(serving_status(row.framed) == row.status);
  }
}

TEST_CASE("an answer that is not HTTP/2 ends the check") {
  for (const std::string answer :
       {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n\r\n"}) {
    GrpcExchange exchange(grpc_target());
    CHECK_THAT(exchange.take_output(), Catch::StartsWith("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    const auto outcome = exchange.received(answer);
    REQUIRE(outcome);
    CHECK(outcome->result == CheckResult::kProtocol);
    CHECK(outcome->words == "the answer is not HTTP/2");
  }
}
