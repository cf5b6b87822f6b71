// SPDX-License-Identifier: Apache-2.0
// What a caller of the Workload API is to have: certificates with keys that are made here, and never on a disk.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "identity/workload/messages.h"

namespace cortexflow::identity {

struct Made {
  std::vector<std::string> ids;    // that are the caller's, in the mapping's order
  std::vector<Svid> svids;         // new ones
  std::optional<Refusal> refusal;  // of the first that could not be had
};

inline constexpr std::size_t kIdentitiesMax = 32;  // of a caller

// New ones for all of the caller's identities but the `standing` ones.
[[nodiscard]] Made make_svids(Issuer& issuer, const Caller& caller, const std::set<std::string>& standing);
// Its identities alone.
[[nodiscard]] Made identities(const Issuer& issuer, const Caller& caller);

// The roots, and the revocation lists of all authorities.  The lists are left out where they are longer than a client
// takes (kListsMax octets); `lists_fit` says so.
inline constexpr std::size_t kListsMax = 2U << 20U;  // gRPC clients take messages of 4 MiB
struct Trust {
  TrustData data;
  Time made;
  bool lists_fit = true;
};
[[nodiscard]] Answer<Trust> make_trust(Issuer& issuer);

}  // namespace cortexflow::identity
