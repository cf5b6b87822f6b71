// SPDX-License-Identifier: Apache-2.0
// Key pairs: which kinds are taken, made, read and written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "identity/openssl.h"
#include "identity/secret.h"

namespace cortexflow::identity {

enum class KeyType { kEcP256, kEcP384, kRsa2048, kRsa3072, kRsa4096 };

// "ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"
[[nodiscard]] Result<KeyType> parse_key_type(std::string_view text);
[[nodiscard]] const std::vector<std::string>& key_type_texts();

[[nodiscard]] Result<Key> generate_key(KeyType type);

// Taken are ECDSA on P-256 and P-384, and RSA from 2048 to 8192 bits, whose points and exponents are sound.
[[nodiscard]] Result<void> check_public_key(EVP_PKEY* key);

// PEM, PKCS#8 or the older forms; `passphrase` opens an encrypted one.
[[nodiscard]] Result<Key> read_private_key(std::string_view pem, const Secret& passphrase);
// PKCS#8 in PEM, in the clear.
[[nodiscard]] Result<Secret> private_key_pem(EVP_PKEY* key);
// PKCS#8 in DER, in the clear.
[[nodiscard]] Result<Secret> private_key_der(EVP_PKEY* key);
// PKCS#8 in PEM, encrypted: AES-256-CBC under scrypt (RFC 7914; N 2^14, r 8, p 1, 16 MiB), as `openssl pkcs8 -scrypt`
// writes it.
[[nodiscard]] Result<std::string> sealed_key_pem(EVP_PKEY* key, const Secret& passphrase);

}  // namespace cortexflow::identity
