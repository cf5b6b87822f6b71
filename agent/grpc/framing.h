// SPDX-License-Identifier: Apache-2.0
// How gRPC lays messages and metadata into HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md).
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::grpc {

inline constexpr std::size_t kPrefix = 5;  // compressed or not; length, 4 octets in network order

// What stands before an uncompressed message of that size.
[[nodiscard]] std::string prefix_of(std::size_t size);

// Is it one whole message, uncompressed?  The message.
[[nodiscard]] std::optional<std::string_view> whole_message(std::string_view framed);

// A header field; refers to both texts, which the session copies when it is submitted.
[[nodiscard]] nghttp2_nv header(std::string_view name, std::string_view value);

[[nodiscard]] inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace cortexflow::grpc
