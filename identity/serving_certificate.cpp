// SPDX-License-Identifier: Apache-2.0
#include "identity/serving_certificate.h"

namespace cortexflow::identity {

Result<std::shared_ptr<SSL_CTX>> serving_context(EVP_PKEY* key, const std::vector<Certificate>& chain) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  const bool begun = context && !chain.empty() && set_tls_profile(context.get()) &&
                     SSL_CTX_use_certificate(context.get(), chain.front().get()) == 1 &&
                     SSL_CTX_use_PrivateKey(context.get(), key) == 1;  // refused where it is another's
  if (!begun) return fail_openssl("cannot serve TLS with the certificate");
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1)
      return fail_openssl("cannot serve TLS with the chain");
  }
  return context;
}

}  // namespace cortexflow::identity
