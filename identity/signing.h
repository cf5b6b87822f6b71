// SPDX-License-Identifier: Apache-2.0
// What certificates and revocation lists are signed with, and the extensions that both have.
#pragma once

#include "identity/openssl.h"

namespace cortexflow::identity {

// SHA-384 for P-384, else SHA-256.
[[nodiscard]] const EVP_MD* digest_for(EVP_PKEY* key);
// `value` in OpenSSL's words, such as "critical,CA:FALSE"; of this program alone, never of a peer.
[[nodiscard]] bool add_extension(X509* to, X509* issuer, int nid, const char* value);
// Positive, of 158 random bits in 20 octets.
[[nodiscard]] bool set_random_serial(X509* to);

}  // namespace cortexflow::identity
