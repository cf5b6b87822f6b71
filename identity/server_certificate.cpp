// SPDX-License-Identifier: Apache-2.0
#include "identity/server_certificate.h"

#include "identity/certificates.h"
#include "identity/renewal.h"

namespace cortexflow::identity {

ServerCertificate::ServerCertificate(Issuer& issuer, SpiffeId id, std::vector<std::string> dns_names)
    : issuer_(issuer), rule_{std::move(id), {}, {}, {}, std::move(dns_names)} {}

bool ServerCertificate::due(Time now) const {
  if (!context_ || now >= renew_ || now < begin_) return true;
  const auto entry = issuer_.ledger().find(serial_);
  return !entry || entry->revoked;
}

std::shared_ptr<SSL_CTX> ServerCertificate::current() {
  const std::lock_guard lock(mutex_);
  const auto now = issuer_.now();
  if (!due(now)) return context_;
  const auto at = std::chrono::steady_clock::now();
  if (!failed_at_ || at >= *failed_at_ + kRetry) {
    auto made = make();
    failed_at_ = made ? std::nullopt : std::optional(at);
    ++(made ? figures_.made : figures_.failed);
    figures_.problem = made ? std::string() : made.error().to_string();
  }
  // The one before does as long as it holds.
  const auto entry = issuer_.ledger().find(serial_);
  const bool holds = context_ && now < end_ && entry && !entry->revoked;
  if (!holds) context_.reset();
  return context_;
}

ServingCertificate::Figures ServerCertificate::figures() const {
  const std::lock_guard lock(mutex_);
  auto out = figures_;
  if (context_) out.end = end_;
  return out;
}

Result<void> ServerCertificate::make() {
  const auto key = generate_key(KeyType::kEcP256);
  if (!key) return tl::make_unexpected(key.error());
  const auto grant = issuer_.issue(rule_, **key);
  if (!grant) return tl::make_unexpected(grant.error().error);
  std::vector<Certificate> chain;
  for (const auto& der : grant->certificate.chain) {
    const auto* octets = reinterpret_cast<const unsigned char*>(der.data());
    chain.emplace_back(d2i_X509(nullptr, &octets, static_cast<long>(der.size())));
  }
  auto context = serving_context(key->get(), chain);
  if (!context) return tl::make_unexpected(std::move(context.error()));
  context_ = std::move(*context);
  const auto& entry = grant->entry;
  serial_ = entry.serial;
  begin_ = entry.not_before;
  end_ = entry.not_after;
  renew_ = renewal_time(begin_, end_, draw_jitter());
  return {};
}

}  // namespace cortexflow::identity
