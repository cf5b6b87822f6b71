// SPDX-License-Identifier: Apache-2.0
// A certificate that all replicas serve TLS with: the one that leads makes it, and puts it with its key into a Secret,
// where the others find it.
#pragma once

#include <functional>
#include <mutex>

#include "identity/cluster/secret_store.h"
#include "identity/issuer.h"
#include "identity/serving_certificate.h"

namespace cortexflow::identity {

class SharedCertificate : public ServingCertificate {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kEvery{5};       // the Secret is read
  static constexpr std::chrono::seconds kRetryMax{600};  // after one that was made in vain: it stays in the ledger
  static constexpr const char* kCertificateKey = "tls.crt";
  static constexpr const char* kPrivateKey = "tls.key";
  static constexpr const char* kNamesKey = "dns-names";

  // `secret` is its name.  The DNS names have no wildcards.
  SharedCertificate(std::shared_ptr<SecretStore> secrets, std::string secret, SpiffeId id,
                    std::vector<std::string> dns_names, std::function<Time()> wall)
      : secrets_(std::move(secrets)),
        secret_(std::move(secret)),
        rule_{std::move(id), {}, {}, {}, std::move(dns_names)},
        wall_(std::move(wall)) {}

  // Often, by one thread: reads the Secret, and makes another certificate where that is due and there is an issuer.
  // `claim` is the term's (Term).
  void follow(Clock::time_point now);
  void lead(Issuer& issuer, const std::string& claim, Clock::time_point now);

  [[nodiscard]] std::shared_ptr<SSL_CTX> current() override;
  [[nodiscard]] Figures figures() const override;

 private:
  struct Loaded {
    std::string version;  // the Secret's
    std::shared_ptr<SSL_CTX> context;
    std::string serial, names;
    Time begin, end, renew;
  };
  [[nodiscard]] static Result<Loaded> load(const StoredSecret& secret);
  [[nodiscard]] Result<void> read();
  [[nodiscard]] bool due(const Issuer& issuer) const;
  [[nodiscard]] Result<void> make(Issuer& issuer, const std::string& claim);
  void take(Loaded loaded);
  void note(const Result<void>& done);
  void note_made(const Result<void>& made, Clock::time_point now);

  const std::shared_ptr<SecretStore> secrets_;
  const std::string secret_;
  const WorkloadRule rule_;
  const std::function<Time()> wall_;
  // The one thread's.
  std::optional<Clock::time_point> read_at_;
  Clock::time_point again_at_{};  // one is made
  std::chrono::seconds retry_{kEvery};
  std::string made_in_vain_;  // why the latest was; empty: it was not
  bool known_ = false;        // what is there, with the latest look
  std::string version_;       // that is there; empty: none

  mutable std::mutex mutex_;
  std::optional<Loaded> loaded_;
  Figures figures_;
};

}  // namespace cortexflow::identity
