// SPDX-License-Identifier: Apache-2.0
// The two messages of grpc.health.v1.Health/Check, as gRPC frames them: a flag, a length, protobuf.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::health {

// HealthCheckRequest; an empty service asks for the server as a whole.
[[nodiscard]] std::string health_request(std::string_view service);

// HealthCheckResponse's status (1: SERVING), of one whole framed message; nothing where it is none.
[[nodiscard]] std::optional<std::uint64_t> serving_status(std::string_view framed);

}  // namespace cortexflow::health
