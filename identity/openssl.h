// SPDX-License-Identifier: Apache-2.0
// What OpenSSL hands out, owned; and its errors in words.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::identity {

template <auto Free>
struct FreedBy {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

using Bio = std::unique_ptr<BIO, FreedBy<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using SigningRequest = std::unique_ptr<X509_REQ, FreedBy<X509_REQ_free>>;
using RevocationList = std::unique_ptr<X509_CRL, FreedBy<X509_CRL_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>>;
using Integer = std::unique_ptr<ASN1_INTEGER, FreedBy<ASN1_INTEGER_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;

// "what: the library's first reason"; empties its queue of errors.
inline tl::unexpected<Error> fail_openssl(std::string_view what, std::string next_step = {}) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return tl::make_unexpected(
      Error{fmt::format("{}: {}", what, reason == nullptr ? "not understood" : reason), std::move(next_step)});
}

// The octets of an object as DER, by its i2d function.
template <typename Object, typename Encode>
[[nodiscard]] std::string der_of(const Object* object, Encode encode) {
  unsigned char* octets = nullptr;
  const int size = encode(object, &octets);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<const char*>(octets), static_cast<std::size_t>(size));
  OPENSSL_free(octets);
  return der;
}

}  // namespace cortexflow::identity
