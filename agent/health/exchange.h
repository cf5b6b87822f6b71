// SPDX-License-Identifier: Apache-2.0
// What is said over a check's connection, without the connection: octets out, octets in, an outcome.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/health/outcome.h"
#include "agent/health/target.h"

namespace cortexflow::health {

class Exchange {
 public:
  virtual ~Exchange() = default;
  // What is to be sent now; empty: nothing.
  [[nodiscard]] virtual std::string take_output() = 0;
  // The next octets from the backend; an outcome ends the check.
  [[nodiscard]] virtual std::optional<Outcome> received(std::string_view octets) = 0;
};

// Null for a check that is done when the connection stands.
[[nodiscard]] std::unique_ptr<Exchange> make_exchange(const Target& target);

// "192.0.2.1:80", "[2001:db8::1]:80"
[[nodiscard]] std::string authority(const Target& target);

}  // namespace cortexflow::health
