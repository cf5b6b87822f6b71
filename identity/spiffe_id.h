// SPDX-License-Identifier: Apache-2.0
// SPIFFE IDs, as SPIFFE-ID.md of the SPIFFE standard says: spiffe://TRUST-DOMAIN/PATH.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::identity {

// Lower-case letters, digits, dots, dashes and underscores; 1 to 255 of them.
[[nodiscard]] Result<void> check_trust_domain(std::string_view name);

class SpiffeId {
 public:
  // A workload's: the path must not be empty (X509-SVID, 4.1).  At most 2048 octets.
  [[nodiscard]] static Result<SpiffeId> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string_view trust_domain() const;
  [[nodiscard]] std::string_view path() const;  // with its leading slash

  auto operator<=>(const SpiffeId&) const = default;

 private:
  explicit SpiffeId(std::string_view text) : text_(text) {}

  std::string text_;
};

}  // namespace cortexflow::identity
