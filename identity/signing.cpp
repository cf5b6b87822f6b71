// SPDX-License-Identifier: Apache-2.0
#include "identity/signing.h"

#include <openssl/rand.h>

#include <array>

namespace cortexflow::identity {

const EVP_MD* digest_for(EVP_PKEY* key) {
  constexpr int kP384 = 384;
  return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_bits(key) == kP384 ? EVP_sha384() : EVP_sha256();
}

bool add_extension(X509* to, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(to, extension.get(), -1) == 1;
}

bool set_random_serial(X509* to) {
  std::array<unsigned char, 20> octets{};  // as many as RFC 5280 allows
  if (RAND_bytes(octets.data(), static_cast<int>(octets.size())) != 1) return false;
  octets[0] = static_cast<unsigned char>((octets[0] & 0x3fU) | 0x40U);  // positive, and always of one length
  const std::unique_ptr<BIGNUM, FreedBy<BN_free>> number(
      BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(to)) != nullptr;
}

}  // namespace cortexflow::identity
