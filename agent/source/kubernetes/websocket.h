// SPDX-License-Identifier: Apache-2.0
// WebSocket's frames (RFC 6455, section 5), as far as a client of an API server needs them.  No socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::source {

enum class Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

// A client's frame: whole, masked by `mask`, which nobody may foresee.
[[nodiscard]] std::string websocket_frame(Opcode opcode, std::string_view payload, std::uint32_t mask);

// Octets -> the server's messages, put together from their frames.
class WebsocketReader {
 public:
  static constexpr std::size_t kMessageMax = 4 << 20;  // octets; a longer one is an error

  struct Message {
    Opcode opcode = Opcode::kBinary;
    std::string payload;
  };

  void feed(std::string_view octets) { kept_ += octets; }
  // Nothing: more octets are needed.  After an error nothing more can be read.
  [[nodiscard]] Result<std::optional<Message>> next();

 private:
  struct Head;
  [[nodiscard]] Result<std::optional<Head>> head() const;

  std::string kept_;
  std::optional<Message> begun_;  // whose last frame has not come
};

}  // namespace cortexflow::source
