// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/websocket.h"

#include <utility>

namespace cortexflow::source {
namespace {

constexpr std::uint8_t kFinal = 0x80, kReserved = 0x70, kOpcode = 0x0f, kMasked = 0x80, kLength = 0x7f;
constexpr std::size_t kLength16 = 126, kLength64 = 127;  // lengths that mean: the next 2 or 8 octets say it
constexpr std::size_t kControlMax = 125;

std::uint64_t big_endian(std::string_view octets) {
  std::uint64_t out = 0;
  for (const char octet : octets) out = out << 8U | static_cast<std::uint8_t>(octet);
  return out;
}

bool is_control(Opcode opcode) { return static_cast<std::uint8_t>(opcode) >= 8; }

}  // namespace

std::string websocket_frame(Opcode opcode, std::string_view payload, std::uint32_t mask) {
  std::string out;
  const auto add = [&out](std::uint64_t number, std::size_t octets) {
    for (auto i = octets; i-- > 0;) out += static_cast<char>(number >> (8 * i));
  };
  add(kFinal | static_cast<std::uint8_t>(opcode), 1);
  if (payload.size() < kLength16) {
    add(kMasked | payload.size(), 1);
  } else if (payload.size() <= 0xffff) {
    add(kMasked | kLength16, 1);
    add(payload.size(), 2);
  } else {
    add(kMasked | kLength64, 1);
    add(payload.size(), 8);
  }
  add(mask, 4);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(static_cast<std::uint8_t>(payload[i]) ^ (mask >> (8 * (3 - i % 4))));
  }
  return out;
}

struct WebsocketReader::Head {
  bool final = false;
  Opcode opcode = Opcode::kBinary;
  std::size_t size = 0;  // of the head itself
  std::size_t length = 0;
};

Result<std::optional<WebsocketReader::Head>> WebsocketReader::head() const {
  if (kept_.size() < 2) return std::nullopt;
  const auto first = static_cast<std::uint8_t>(kept_[0]);
  const auto second = static_cast<std::uint8_t>(kept_[1]);
  if ((first & kReserved) != 0) return fail("a WebSocket frame with an extension that was not agreed on");
  if ((second & kMasked) != 0) return fail("a masked WebSocket frame from a server");
  const auto length = static_cast<std::size_t>(second & kLength);
  const std::size_t more = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
  if (kept_.size() < 2 + more) return std::nullopt;
  const auto size = more == 0 ? length : big_endian(std::string_view(kept_).substr(2, more));
  const Head out{(first & kFinal) != 0, static_cast<Opcode>(first & kOpcode), 2 + more, size};
  if (size > kMessageMax) return fail("a WebSocket frame of {} octets", size);
  if (is_control(out.opcode) && (!out.final || size > kControlMax)) return fail("a WebSocket control frame in parts");
  return out;
}

Result<std::optional<WebsocketReader::Message>> WebsocketReader::next() {
  while (true) {
    const auto at = head();
    if (!at) return tl::make_unexpected(at.error());
    if (!*at || kept_.size() - (*at)->size < (*at)->length) return std::nullopt;
    const Head frame = **at;
    std::string payload = kept_.substr(frame.size, frame.length);
    kept_.erase(0, frame.size + frame.length);
    if (is_control(frame.opcode)) return Message{frame.opcode, std::move(payload)};
    const bool continues = frame.opcode == Opcode::kContinuation;
    if (continues != begun_.has_value()) return fail("WebSocket frames out of order");
    if (!continues && frame.opcode != Opcode::kText && frame.opcode != Opcode::kBinary) {
      return fail("a WebSocket frame of an unknown kind");
    }
    if (!begun_) begun_ = Message{frame.opcode, {}};
    if (begun_->payload.size() + payload.size() > kMessageMax) return fail("a WebSocket message that is too long");
    begun_->payload += payload;
    if (frame.final) return std::exchange(begun_, std::nullopt);
  }
}

}  // namespace cortexflow::source
