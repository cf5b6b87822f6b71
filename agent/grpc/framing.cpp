// SPDX-License-Identifier: Apache-2.0
#include "agent/grpc/framing.h"

namespace cortexflow::grpc {

std::string prefix_of(std::size_t size) {
  std::string prefix(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) prefix += static_cast<char>(size >> shift & 0xff);
  return prefix;
}

std::optional<std::string_view> whole_message(std::string_view framed) {
  if (framed.size() < kPrefix || framed[0] != '\0') return std::nullopt;
  std::size_t size = 0;
  for (const char octet : framed.substr(1, kPrefix - 1)) size = size << 8 | static_cast<std::uint8_t>(octet);
  const auto message = framed.substr(kPrefix);
  if (message.size() != size) return std::nullopt;
  return message;
}

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto octets = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));  // it copies them
  };
  return {octets(name), octets(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace cortexflow::grpc
