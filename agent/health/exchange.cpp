// SPDX-License-Identifier: Apache-2.0
#include "agent/health/exchange.h"

#include <fmt/format.h>

#include "agent/health/grpc_exchange.h"
#include "agent/health/http_exchange.h"

namespace cortexflow::health {

std::unique_ptr<Exchange> make_exchange(const Target& target) {
  switch (target.check.type) {
    case model::HealthCheckType::kTcp:
      return nullptr;
    case model::HealthCheckType::kHttp:
      return std::make_unique<HttpExchange>(target);
    case model::HealthCheckType::kGrpc:
      return std::make_unique<GrpcExchange>(target);
  }
  return nullptr;
}

std::string authority(const Target& target) {
  const auto address = target.address.to_string();
  return fmt::format(fmt::runtime(target.address.is_v4() ? "{}:{}" : "[{}]:{}"), address, target.port);
}

}  // namespace cortexflow::health
