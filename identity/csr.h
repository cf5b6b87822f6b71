// SPDX-License-Identifier: Apache-2.0
// Certificate signing requests (PKCS#10, RFC 2986) of workloads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "identity/openssl.h"
#include "identity/spiffe_id.h"

namespace cortexflow::identity {

inline constexpr std::size_t kCsrMax = 1U << 14U;  // octets of PEM or DER

struct Csr {
  SpiffeId id;
  std::vector<std::string> dns_names;
  Key public_key;
};

// PEM or DER.  Refused: a signature that is not its key's, or by MD5 or SHA-1; a key that check_public_key refuses;
// anything but one SPIFFE ID and DNS names as alternative names; a request to be an authority.  Its subject and the
// other extensions are the issuer's to choose, and are not looked at.
[[nodiscard]] Result<Csr> parse_csr(std::string_view text);

// In PEM, signed with `key`.
[[nodiscard]] Result<std::string> make_csr(EVP_PKEY* key, const SpiffeId& id,
                                           const std::vector<std::string>& dns_names);

// subjectAltName of one URI and DNS names, critical or not.
[[nodiscard]] Result<Extension> alternative_names(const SpiffeId& id, const std::vector<std::string>& dns_names,
                                                  bool critical);

// The one SPIFFE ID and the DNS names in `names`.
struct NamesRead {
  SpiffeId id;
  std::vector<std::string> dns_names;
};
[[nodiscard]] Result<NamesRead> read_names(const GENERAL_NAMES& names);
[[nodiscard]] Result<NamesRead> names_of(const X509& certificate);

}  // namespace cortexflow::identity
