// SPDX-License-Identifier: Apache-2.0
// How TLS is spoken, by servers and clients of the mesh: versions 1.2 and 1.3, with AES-256-GCM or ChaCha20-Poly1305,
// keys by ephemeral Diffie-Hellman over X25519, P-256 or P-384; no renegotiation, no resumption, no compression.
#pragma once

#include <openssl/ssl.h>

namespace cortexflow::identity {

// False where the library takes no part of it.
[[nodiscard]] bool set_tls_profile(SSL_CTX* context);

}  // namespace cortexflow::identity
