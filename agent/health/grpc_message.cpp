// SPDX-License-Identifier: Apache-2.0
#include "agent/health/grpc_message.h"

namespace cortexflow::health {
namespace {

constexpr std::size_t kPrefix = 5;          // compressed or not; length, 4 octets in network order
constexpr char kServiceField = 1 << 3 | 2;  // field 1, length-delimited
constexpr std::uint64_t kStatusField = 1;

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Takes one off the front.
std::optional<std::uint64_t> take_varint(std::string_view& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto octet = static_cast<std::uint8_t>(in[0]);
    in.remove_prefix(1);
    value |= static_cast<std::uint64_t>(octet & 0x7f) << shift;
    if (octet < 0x80) return value;
  }
  return std::nullopt;
}

// Takes a field's value off the front, unread; false where it can't be.
bool skip(std::string_view& in, std::uint64_t wire_type) {
  std::optional<std::uint64_t> size;
  switch (wire_type) {
    case 0:
      return take_varint(in).has_value();
    case 1:
      size = 8;
      break;
    case 2:
      size = take_varint(in);
      break;
    case 5:
      size = 4;
      break;
    default:
      break;
  }
  if (!size || *size > in.size()) return false;
  in.remove_prefix(*size);
  return true;
}

}  // namespace

std::string health_request(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += kServiceField;
    put_varint(message, service.size());
    message += service;
  }
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) framed += static_cast<char>(message.size() >> shift & 0xff);
  return framed + message;
}

std::optional<std::uint64_t> serving_status(std::string_view framed) {
  if (framed.size() < kPrefix || framed[0] != '\0') return std::nullopt;
  std::size_t size = 0;
  for (const char octet : framed.substr(1, kPrefix - 1)) size = size << 8 | static_cast<std::uint8_t>(octet);
  auto in = framed.substr(kPrefix);
  if (in.size() != size) return std::nullopt;
  std::uint64_t status = 0;  // the default: UNKNOWN
  while (!in.empty()) {
    const auto tag = take_varint(in);
    if (!tag) return std::nullopt;
    if (*tag == kStatusField << 3) {
      const auto value = take_varint(in);
      if (!value) return std::nullopt;
      status = *value;
    } else if (!skip(in, *tag & 7)) {
      return std::nullopt;
    }
  }
  return status;
}

}  // namespace cortexflow::health
