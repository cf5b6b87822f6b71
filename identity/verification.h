// SPDX-License-Identifier: Apache-2.0
// Is this chain an X.509-SVID that the bundle vouches for?
#pragma once

#include <string>
#include <vector>

#include "identity/authority.h"

namespace cortexflow::identity {

struct Verified {
  SpiffeId id;
  std::string serial, issuer;  // issuer: key id
};

// The leaf first, at `now`, against the roots; then what X509-SVID asks of a leaf (section 5.2).
[[nodiscard]] Result<Verified> verify_chain(const std::vector<X509*>& chain, const std::vector<X509*>& roots, Time now);

}  // namespace cortexflow::identity
