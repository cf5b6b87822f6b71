// SPDX-License-Identifier: Apache-2.0
// Any answer to a gRPC health check, in pieces: no crash, and an outcome in printable words.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/health/grpc_exchange.h"

using namespace cortexflow;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kPiece = 13;
  const std::string_view answer(reinterpret_cast<const char*>(data), size);
  health::GrpcExchange exchange({{}, 80, {.type = model::HealthCheckType::kGrpc}});
  if (exchange.take_output().empty()) std::abort();
  for (std::size_t at = 0; at < size; at += kPiece) {
    const auto outcome = exchange.received(answer.substr(at, kPiece));
    (void)exchange.take_output();
    if (!outcome) continue;
    for (const char c : outcome->words) {
      if (c < 0x20 || c > 0x7e) std::abort();
    }
    return 0;
  }
  return 0;
}
