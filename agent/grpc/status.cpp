// SPDX-License-Identifier: Apache-2.0
#include "agent/grpc/status.h"

#include <fmt/format.h>

#include <array>

namespace cortexflow::grpc {
namespace {

constexpr std::array<const char*, 17> kNames{
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

}  // namespace

std::string_view status_name(std::size_t code) { return code < kNames.size() ? kNames.at(code) : "?"; }

std::string percent_encoded(std::string_view message) {
  std::string out;
  for (const char c : message) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<std::uint8_t>(c));
    }
  }
  return out;
}

}  // namespace cortexflow::grpc
