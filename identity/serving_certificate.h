// SPDX-License-Identifier: Apache-2.0
// A certificate that TLS is served with, wherever it comes from.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/openssl.h"
#include "identity/tls_profile.h"

namespace cortexflow::identity {

// Safe to use from several threads.
class ServingCertificate {
 public:
  ServingCertificate() = default;
  ServingCertificate(const ServingCertificate&) = delete;
  ServingCertificate& operator=(const ServingCertificate&) = delete;
  virtual ~ServingCertificate() = default;

  // To begin a connection with.  Null where there is none that holds, and none can be made.
  [[nodiscard]] virtual std::shared_ptr<SSL_CTX> current() = 0;

  struct Figures {
    std::optional<std::chrono::system_clock::time_point> end;  // nothing: there is none
    std::uint64_t made = 0, failed = 0;
    std::string problem;  // why the latest could not be made; empty: it could
  };
  [[nodiscard]] virtual Figures figures() const = 0;
};

// `chain` begins with the key's own certificate.
[[nodiscard]] Result<std::shared_ptr<SSL_CTX>> serving_context(EVP_PKEY* key, const std::vector<Certificate>& chain);

}  // namespace cortexflow::identity
