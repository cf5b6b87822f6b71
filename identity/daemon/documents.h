// SPDX-License-Identifier: Apache-2.0
// What the API answers, as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "identity/issuer.h"

namespace cortexflow::identity {

// With "state": valid, expired or revoked.
[[nodiscard]] nlohmann::ordered_json json_of(const Entry& entry, Time now);
// With the chain in PEM and when to renew, which is another time for each certificate.
[[nodiscard]] nlohmann::ordered_json json_of(const Grant& grant, Time now);
[[nodiscard]] nlohmann::ordered_json json_of(const Verdict& verdict);
[[nodiscard]] nlohmann::ordered_json json_of(const AuthoritySet& authorities, const std::string& trust_domain);

}  // namespace cortexflow::identity
