// SPDX-License-Identifier: Apache-2.0
// gRPC's status codes (grpc/doc/statuscodes.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cortexflow::grpc {

enum class Status : std::uint8_t {
  kOk = 0,
  kInvalidArgument = 3,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kUnavailable = 14,
};

// "PERMISSION_DENIED"; "?" for a number that is no code.
[[nodiscard]] std::string_view status_name(std::size_t code);

// As the field grpc-message takes it: what is not printable ASCII, and the percent sign, by number.
[[nodiscard]] std::string percent_encoded(std::string_view message);

}  // namespace cortexflow::grpc
