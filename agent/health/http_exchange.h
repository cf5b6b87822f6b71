// SPDX-License-Identifier: Apache-2.0
// One GET, and the status of its answer (RFC 9112).  Redirects are answers like others: nobody follows them.
#pragma once

#include <utility>

#include "agent/health/exchange.h"

namespace cortexflow::health {

class HttpExchange : public Exchange {
 public:
  explicit HttpExchange(const Target& target);

  [[nodiscard]] std::string take_output() override { return std::exchange(request_, {}); }
  [[nodiscard]] std::optional<Outcome> received(std::string_view octets) override;

 private:
  std::string request_;
  std::uint16_t status_min_, status_max_;
  std::string head_;  // what came, from the latest status line on
};

}  // namespace cortexflow::health
