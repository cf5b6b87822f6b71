// SPDX-License-Identifier: Apache-2.0
#include "identity/authority.h"

#include <algorithm>

#include "identity/certificates.h"
#include "identity/csr.h"
#include "identity/signing.h"
#include "identity/verification.h"

namespace cortexflow::identity {
namespace {

Certificate blank(EVP_PKEY* public_key, Time not_before, Time not_after) {
  Certificate made(X509_new());
  if (!made || X509_set_version(made.get(), X509_VERSION_3) != 1 || !set_random_serial(made.get()) ||
      X509_set_pubkey(made.get(), public_key) != 1 || !set_time(X509_getm_notBefore(made.get()), not_before) ||
      !set_time(X509_getm_notAfter(made.get()), not_after)) {
    return nullptr;
  }
  return made;
}

bool add_name(X509* to, const std::string& trust_domain) {
  X509_NAME* name = X509_get_subject_name(to);
  const auto entry = [name](const char* field, const std::string& text) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
  };
  constexpr std::size_t kCommonNameMax = 64;  // ub-common-name of RFC 5280
  // With its serial number, so that the roots of a rotation have names of their own.
  return entry("O", "CortexBrain") && entry("CN", trust_domain.substr(0, kCommonNameMax)) &&
         entry("serialNumber", serial_text(to));
}

// spiffe://TRUST-DOMAIN: an authority's own ID has no path (X509-SVID, 4.2).
bool add_domain_uri(X509* to, const std::string& trust_domain) {
  return add_extension(to, to, NID_subject_alt_name, ("URI:spiffe://" + trust_domain).c_str());
}

// Where the issuer's lists are (RFC 5280, 4.2.1.13 and 4.2.1.15).
bool add_list_urls(X509* to, const std::string& url, const std::string& issuer) {
  if (url.empty()) return true;
  return add_extension(to, to, NID_crl_distribution_points, fmt::format("URI:{}/{}.crl", url, issuer).c_str()) &&
         add_extension(to, to, NID_freshest_crl, fmt::format("URI:{}/{}-delta.crl", url, issuer).c_str());
}

Result<void> check_signer(X509* certificate) {
  const auto subject = subject_text(certificate);
  if (X509_check_ca(certificate) != 1) return fail("{} is no authority (CA:TRUE)", subject);
  if ((X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0) {
    return fail("{} may not sign certificates (keyCertSign)", subject);
  }
  return {};
}

// Of the one that signs workloads' certificates; what its issuers' revocation lists are signed by is not ours.
Result<void> check_authority(X509* certificate) {
  const auto subject = subject_text(certificate);
  if ((X509_get_key_usage(certificate) & KU_CRL_SIGN) == 0) {
    return tl::make_unexpected(
        Error{fmt::format("{} may not sign revocation lists (cRLSign)", subject),
              "cert-manager asks for it with `usages: [cert sign, crl sign]` of a Certificate with isCA"});
  }
  if (key_id(certificate).empty()) return fail("{} has no subjectKeyIdentifier", subject);
  return {};
}

}  // namespace

Authority::Authority(std::vector<Certificate> chain, Key key)
    : chain_(std::move(chain)), key_(std::move(key)), id_(key_id(chain_.front().get())), ends_(Time::max()) {
  for (const auto& one : chain_) ends_ = std::min(ends_, not_after(one.get()));
}

Result<Authority> Authority::make_root(const std::string& trust_domain, KeyType type, std::chrono::hours lifetime,
                                       Time now) {
  if (auto checked = check_trust_domain(trust_domain); !checked) return tl::make_unexpected(std::move(checked.error()));
  auto key = generate_key(type);
  if (!key) return tl::make_unexpected(std::move(key.error()));
  Certificate root = blank(key->get(), now - kBackdate, now + lifetime);
  if (!root || !add_name(root.get(), trust_domain) ||
      X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) != 1 ||
      !add_extension(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(root.get(), root.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(root.get(), root.get(), NID_subject_key_identifier, "hash") ||
      !add_extension(root.get(), root.get(), NID_authority_key_identifier, "keyid:always") ||
      !add_domain_uri(root.get(), trust_domain) || X509_sign(root.get(), key->get(), digest_for(key->get())) <= 0) {
    return fail_openssl("cannot make a root certificate");
  }
  std::vector<Certificate> chain;
  chain.push_back(std::move(root));
  return load(std::move(chain), std::move(*key), trust_domain, now);
}

Result<Authority> Authority::load(std::vector<Certificate> chain, Key key, const std::string& trust_domain, Time now) {
  if (auto checked = check_trust_domain(trust_domain); !checked) return tl::make_unexpected(std::move(checked.error()));
  if (chain.empty()) return fail("there is no certificate of the authority");
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return tl::make_unexpected(Error{"the authority's key is not the one in its certificate",
                                     "its own certificate comes first, its issuers after it, the root last"});
  }
  for (const auto& one : chain) {
    if (auto checked = check_signer(one.get()); !checked) return tl::make_unexpected(std::move(checked.error()));
  }
  if (auto checked = check_authority(chain.front().get()); !checked) {
    return tl::make_unexpected(std::move(checked.error()));
  }
  if (!is_self_signed(chain.back().get())) {
    return tl::make_unexpected(
        Error{fmt::format("the chain ends in {}, which is no root", subject_text(chain.back().get())),
              "append the certificates up to the root, or name them in authority.roots"});
  }
  Authority made(std::move(chain), std::move(key));
  if (now >= made.ends_) return fail("the authority's chain has expired");
  // A trial: what the chain can't vouch for (name constraints, path length, a wrong order) shows now, not to a
  // workload.
  auto id = SpiffeId::parse("spiffe://" + trust_domain + "/trial");
  auto subject_key = generate_key(KeyType::kEcP256);
  if (!id || !subject_key) return tl::make_unexpected((id ? subject_key.error() : id.error()));
  if (auto trial = made.issue({*id, {}, subject_key->get(), kLifetimeMin}, now); !trial) {
    return tl::make_unexpected(std::move(trial.error()).wrap("the authority can't vouch for workloads"));
  }
  return made;
}

Result<Issued> Authority::issue(const Subject& subject, Time now) const {
  if (subject.lifetime < kLifetimeMin || subject.lifetime > kLifetimeMax) {
    return fail("a lifetime of {} s; expected {} h to {} days", subject.lifetime.count(), kLifetimeMin.count(),
                kLifetimeMax.count() / 24);
  }
  if (now >= ends_) return fail("the authority's certificate has expired");
  const Time begin = std::max(now - kBackdate, not_before(certificate()));
  Certificate leaf = blank(subject.public_key, begin, std::min<Time>(now + subject.lifetime, ends_));
  if (!leaf) return fail_openssl("cannot make a certificate");
  auto names = alternative_names(subject.id, subject.dns_names, true);  // critical: there is no subject name
  if (!names) return tl::make_unexpected(std::move(names.error()));
  const bool rsa = EVP_PKEY_is_a(subject.public_key, "RSA") == 1;
  auto* made = leaf.get();
  if (X509_set_issuer_name(made, X509_get_subject_name(certificate())) != 1 ||
      !add_extension(made, certificate(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(made, certificate(), NID_key_usage,
                     rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") ||
      !add_extension(made, certificate(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(made, certificate(), NID_subject_key_identifier, "hash") ||
      !add_extension(made, certificate(), NID_authority_key_identifier, "keyid:always") ||
      X509_add_ext(made, names->get(), -1) != 1 || !add_list_urls(made, subject.crl_url, id_) ||
      X509_sign(made, key_.get(), digest_for(key_.get())) <= 0) {
    return fail_openssl("cannot make a certificate");
  }
  if (auto verified = verify(made, now); !verified) return tl::make_unexpected(std::move(verified.error()));
  Issued issued{std::move(leaf), {der_of(made)}};
  for (const auto& one : chain_) {
    if (one.get() != root()) issued.chain.push_back(der_of(one.get()));
  }
  return issued;
}

Result<void> Authority::verify(X509* leaf, Time now) const {
  std::vector<X509*> chain{leaf};
  for (const auto& one : chain_) chain.push_back(one.get());
  chain.pop_back();
  if (auto verified = verify_chain(chain, {root()}, now); !verified)
    return tl::make_unexpected(std::move(verified.error()));
  return {};
}

std::string Authority::chain_pem() const {
  std::string pem;
  for (const auto& one : chain_) pem += pem_of(one.get());
  return pem;
}

}  // namespace cortexflow::identity
