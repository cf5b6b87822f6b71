// SPDX-License-Identifier: Apache-2.0
// The encoding of protobuf (protobuf.dev/programming-guides/encoding), as far as small messages need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::grpc {

void put_varint(std::string& out, std::uint64_t value);
// A field of octets: text, bytes, or a message.  `field` is at most 15.
void put_octets(std::string& out, unsigned field, std::string_view value);
// How many octets put_octets() writes for a value of that size.
[[nodiscard]] std::size_t octets_size(std::size_t size);

// Takes one off the front.
[[nodiscard]] std::optional<std::uint64_t> take_varint(std::string_view& in);
// Takes a field's value off the front, unread; false where it can't be.
[[nodiscard]] bool skip(std::string_view& in, std::uint64_t wire_type);
// Is it a message, whatever its fields?
[[nodiscard]] bool is_message(std::string_view in);

}  // namespace cortexflow::grpc
