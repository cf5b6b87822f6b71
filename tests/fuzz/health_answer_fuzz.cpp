// SPDX-License-Identifier: Apache-2.0
// Any answer to an HTTP health check, whole and octet by octet: no crash, an outcome in printable words, and the same
// one either way.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/health/http_exchange.h"

using namespace cortexflow;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view answer(reinterpret_cast<const char*>(data), size);
  const health::Target target{{}, 80, {.type = model::HealthCheckType::kHttp}};
  health::HttpExchange whole(target);
  health::HttpExchange pieces(target);
  const auto outcome = whole.received(answer);
  std::optional<health::Outcome> other;
  for (std::size_t at = 0; at < size && !other; ++at) other = pieces.received(answer.substr(at, 1));
  if (size > 0 && outcome != other) std::abort();
  if (!outcome) return 0;
  for (const char c : outcome->words) {
    if (c < 0x20 || c > 0x7e) std::abort();
  }
  return 0;
}
