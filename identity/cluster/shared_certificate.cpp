// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/shared_certificate.h"

#include <fmt/ranges.h>

#include "identity/certificates.h"
#include "identity/renewal.h"

namespace cortexflow::identity {
namespace {

std::string pem_of_chain(const std::vector<std::string>& chain) {
  std::string out;
  for (const auto& der : chain) {
    const auto* octets = reinterpret_cast<const unsigned char*>(der.data());
    const Certificate one(d2i_X509(nullptr, &octets, static_cast<long>(der.size())));
    if (one) out += pem_of(one.get());
  }
  return out;
}

std::string data_of(const StoredSecret& secret, const char* key) {
  const auto at = secret.data.find(key);
  return at == secret.data.end() ? std::string() : at->second;
}

}  // namespace

void SharedCertificate::follow(Clock::time_point now) {
  if (read_at_ && now < *read_at_ + kEvery) return;
  read_at_ = now;
  note(read());
}

void SharedCertificate::lead(Issuer& issuer, const std::string& claim, Clock::time_point now) {
  const bool reads = !read_at_ || now >= *read_at_ + kEvery;
  follow(now);
  // What was just tried waits for the next look.
  if (!reads || !known_ || !due(issuer)) return;
  if (now >= again_at_) return note_made(make(issuer, claim), now);
  const std::lock_guard lock(mutex_);
  figures_.problem = made_in_vain_;
}

Result<void> SharedCertificate::read() {
  const auto found = secrets_->get(secret_);
  known_ = found.has_value();
  if (!found)
    return tl::make_unexpected(Error(found.error().error).wrap(fmt::format("cannot read Secret {}", secret_)));
  version_ = *found ? (*found)->version : "";
  if (!*found) return fail("there is no Secret {} yet: the replica that leads makes it", secret_);
  {
    const std::lock_guard lock(mutex_);
    if (loaded_ && loaded_->version == version_) return {};
  }
  auto loaded = load(**found);
  if (!loaded) return tl::make_unexpected(std::move(loaded.error()).wrap(fmt::format("Secret {}", secret_)));
  take(std::move(*loaded));
  return {};
}

Result<SharedCertificate::Loaded> SharedCertificate::load(const StoredSecret& secret) {
  const auto chain = read_certificates(data_of(secret, kCertificateKey));
  if (!chain) return tl::make_unexpected(Error(chain.error()).wrap(kCertificateKey));
  const auto key = read_private_key(data_of(secret, kPrivateKey), {});
  if (!key) return tl::make_unexpected(Error(key.error()).wrap(kPrivateKey));
  auto context = serving_context(key->get(), *chain);
  if (!context) return tl::make_unexpected(std::move(context.error()));
  const auto* leaf = chain->front().get();
  const auto begin = not_before(leaf), end = not_after(leaf);
  return Loaded{secret.version,
                std::move(*context),
                serial_text(leaf),
                data_of(secret, kNamesKey),
                begin,
                end,
                renewal_time(begin, end, draw_jitter())};
}

bool SharedCertificate::due(const Issuer& issuer) const {
  const std::lock_guard lock(mutex_);
  const auto now = issuer.now();
  if (!loaded_ || loaded_->version != version_ || now >= loaded_->renew || now < loaded_->begin) return true;
  const auto entry = issuer.ledger().find(loaded_->serial);
  return !entry || entry->revoked || loaded_->names != fmt::format("{}", fmt::join(rule_.dns_names, ","));
}

Result<void> SharedCertificate::make(Issuer& issuer, const std::string& claim) {
  const auto key = generate_key(KeyType::kEcP256);
  if (!key) return tl::make_unexpected(key.error());
  const auto grant = issuer.issue(rule_, **key);
  if (!grant) return tl::make_unexpected(grant.error().error);
  const auto pem = private_key_pem(key->get());
  if (!pem) return tl::make_unexpected(pem.error());
  const auto written = secrets_->put(secret_, version_, claim,
                                     {{kCertificateKey, pem_of_chain(grant->certificate.chain)},
                                      {kPrivateKey, std::string(pem->view())},
                                      {kNamesKey, fmt::format("{}", fmt::join(rule_.dns_names, ","))}});
  if (!written)
    return tl::make_unexpected(Error(written.error().error).wrap(fmt::format("cannot write Secret {}", secret_)));
  version_ = written->version;
  auto loaded = load(*written);
  if (!loaded) return tl::make_unexpected(std::move(loaded.error()));
  take(std::move(*loaded));
  const std::lock_guard lock(mutex_);
  ++figures_.made;
  return {};
}

void SharedCertificate::take(Loaded loaded) {
  const std::lock_guard lock(mutex_);
  loaded_ = std::move(loaded);
}

void SharedCertificate::note(const Result<void>& done) {
  const std::lock_guard lock(mutex_);
  figures_.failed += done ? 0 : 1;
  figures_.problem = done ? std::string() : done.error().to_string();
}

void SharedCertificate::note_made(const Result<void>& made, Clock::time_point now) {
  note(made);
  made_in_vain_ = made ? std::string() : made.error().to_string();
  again_at_ = made ? Clock::time_point() : now + retry_;
  retry_ = made ? kEvery : std::min(2 * retry_, kRetryMax);
}

std::shared_ptr<SSL_CTX> SharedCertificate::current() {
  const std::lock_guard lock(mutex_);
  return loaded_ && wall_() < loaded_->end ? loaded_->context : nullptr;
}

ServingCertificate::Figures SharedCertificate::figures() const {
  const std::lock_guard lock(mutex_);
  auto out = figures_;
  if (loaded_) out.end = loaded_->end;
  return out;
}

}  // namespace cortexflow::identity
