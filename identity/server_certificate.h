// SPDX-License-Identifier: Apache-2.0
// The certificate that the issuer gives itself, to serve TLS with.  Made anew, with a new key, by half its life, and at
// once when it was revoked, has ended, or a clock that was set back makes it one of the future.
// Safe to use from several threads.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "identity/issuer.h"
#include "identity/serving_certificate.h"

namespace cortexflow::identity {

class ServerCertificate : public ServingCertificate {
 public:
  // `issuer` has to outlive it.  The names are DNS names without wildcards.
  ServerCertificate(Issuer& issuer, SpiffeId id, std::vector<std::string> dns_names);

  [[nodiscard]] std::shared_ptr<SSL_CTX> current() override;
  [[nodiscard]] Figures figures() const override;

 private:
  [[nodiscard]] bool due(Time now) const;
  [[nodiscard]] Result<void> make();

  static constexpr std::chrono::seconds kRetry{5};

  Issuer& issuer_;
  const WorkloadRule rule_;
  mutable std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;
  std::string serial_;
  Time begin_, end_, renew_;
  std::optional<std::chrono::steady_clock::time_point> failed_at_;
  Figures figures_;
};

}  // namespace cortexflow::identity
