// SPDX-License-Identifier: Apache-2.0
#include "agent/grpc/protobuf.h"

namespace cortexflow::grpc {
namespace {

constexpr std::uint64_t kLengthDelimited = 2;

}  // namespace

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_octets(std::string& out, unsigned field, std::string_view value) {
  out += static_cast<char>(field << 3 | kLengthDelimited);
  put_varint(out, value.size());
  out += value;
}

std::size_t octets_size(std::size_t size) {
  std::size_t length = 1;
  for (auto left = size; left >= 0x80; left >>= 7) ++length;
  return 1 + length + size;
}

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

bool skip(std::string_view& in, std::uint64_t wire_type) {
  std::optional<std::uint64_t> size;
  switch (wire_type) {
    case 0:
      return take_varint(in).has_value();
    case 1:
      size = 8;
      break;
    case kLengthDelimited:
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

bool is_message(std::string_view in) {
  while (!in.empty()) {
    const auto tag = take_varint(in);
    if (!tag || *tag >> 3 == 0 || !skip(in, *tag & 7)) return false;
  }
  return true;
}

}  // namespace cortexflow::grpc
