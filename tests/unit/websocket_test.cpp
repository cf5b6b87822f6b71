// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/websocket.h"

#include <catch2/catch.hpp>

using namespace cortexflow::source;

namespace {

// A server's frame: as a client's, without the mask.
std::string served(Opcode opcode, const std::string& payload, bool final = true) {
  std::string out(1, static_cast<char>((final ? 0x80 : 0) | static_cast<int>(opcode)));
  if (payload.size() < 126) return out + static_cast<char>(payload.size()) + payload;
  return out + "\x7e" + static_cast<char>(payload.size() >> 8U) + static_cast<char>(payload.size()) + payload;
}

}  // namespace

TEST_CASE("a client's WebSocket frame is masked, and its length is of the shortest form") {
  CHECK(websocket_frame(Opcode::kBinary, "Hello", 0x37fa213d) ==
        std::string("\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11));  // RFC 6455, 5.7, but binary
  CHECK(websocket_frame(Opcode::kPing, std::string(126, 'x'), 0).substr(0, 4) == std::string("\x89\xfe\x00\x7e", 4));
  CHECK(websocket_frame(Opcode::kBinary, std::string(70'000, 'x'), 0).substr(0, 10) ==
        std::string("\x82\xff\x00\x00\x00\x00\x00\x01\x11\x70", 10));
}

TEST_CASE("a server's WebSocket frames become messages, however they are cut") {
  const auto octets = served(Opcode::kBinary, std::string(300, 'a')) + served(Opcode::kText, "x", false) +
                      served(Opcode::kPing, "p") + served(Opcode::kContinuation, "y") + served(Opcode::kClose, "");
  WebsocketReader reader;
  std::vector<std::string> found;
  for (const char octet : octets) {
    reader.feed({&octet, 1});
    for (auto message = reader.next(); message && *message; message = reader.next())
      found.push_back((*message)->payload);
  }
  CHECK(found == std::vector<std::string>{std::string(300, 'a'), "p", "xy", ""});
}

TEST_CASE("WebSocket frames that no server sends are refused") {
  const std::string rows[] = {"\xc2\x01x",
                              "\x82\x81xxxxx",
                              served(Opcode::kContinuation, "x"),
                              "\x83\x01x",
                              "\x09\x01x",
                              std::string("\x82\x7f\x00\x00\x00\x00\x7f\x00\x00\x00", 10),
                              served(Opcode::kText, "a", false) + served(Opcode::kText, "b")};
  for (const auto& row : rows) {
    WebsocketReader reader;
    reader.feed(row);
    CHECK_FALSE(reader.next());
  }
}
