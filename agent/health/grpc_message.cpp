// SPDX-License-Identifier: Apache-2.0
#include "agent/health/grpc_message.h"

#include "agent/grpc/framing.h"
#include "agent/grpc/protobuf.h"

namespace cortexflow::health {
namespace {

constexpr unsigned kServiceField = 1;
constexpr std::uint64_t kStatusField = 1;

}  // namespace

std::string health_request(std::string_view service) {
  std::string message;
  if (!service.empty()) grpc::put_octets(message, kServiceField, service);
  return grpc::prefix_of(message.size()) + message;
}

std::optional<std::uint64_t> serving_status(std::string_view framed) {
  const auto message = grpc::whole_message(framed);
  if (!message) return std::nullopt;
  auto in = *message;
  std::uint64_t status = 0;  // the default: UNKNOWN
  while (!in.empty()) {
    const auto tag = grpc::take_varint(in);
    if (!tag) return std::nullopt;
    if (*tag == kStatusField << 3) {
      const auto value = grpc::take_varint(in);
      if (!value) return std::nullopt;
      status = *value;
    } else if (!grpc::skip(in, *tag & 7)) {
      return std::nullopt;
    }
  }
  return status;
}

}  // namespace cortexflow::health
