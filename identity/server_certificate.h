// SPDX-License-Identifier: Apache-2.0
// The certificate that the issuer gives itself, to serve TLS with.  Made anew, with a new key, by half its life, and at
// once when it was revoked, has ended, or a clock that was set back makes it one of the future.
// Safe to use from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "identity/issuer.h"
#include "identity/tls_profile.h"

namespace cortexflow::identity {

class ServerCertificate {
 public:
  // `issuer` has to outlive it.  The names are DNS names without wildcards.
  ServerCertificate(Issuer& issuer, SpiffeId id, std::vector<std::string> dns_names);

  // To begin a connection with.  Null where there is none that holds, and none can be made.
  [[nodiscard]] std::shared_ptr<SSL_CTX> current();

  struct Figures {
    std::optional<Time> end;  // nothing: there is none
    std::uint64_t made = 0, failed = 0;
    std::string problem;  // why the latest could not be made; empty: it could
  };
  [[nodiscard]] Figures figures() const;

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
