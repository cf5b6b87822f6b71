// SPDX-License-Identifier: Apache-2.0
// Authority::list: revocation lists of RFC 5280, section 5, complete and delta.
#include "identity/authority.h"
#include "identity/certificates.h"
#include "identity/signing.h"

namespace cortexflow::identity {
namespace {

using RevokedCertificate = std::unique_ptr<X509_REVOKED, FreedBy<X509_REVOKED_free>>;
using Enumerated = std::unique_ptr<ASN1_ENUMERATED, FreedBy<ASN1_ENUMERATED_free>>;
using AsnTime = std::unique_ptr<ASN1_TIME, FreedBy<ASN1_TIME_free>>;

bool add_number(X509_CRL* list, int nid, std::uint64_t value, bool critical) {
  const Integer number(ASN1_INTEGER_new());
  return number && ASN1_INTEGER_set_uint64(number.get(), value) == 1 &&
         X509_CRL_add1_ext_i2d(list, nid, number.get(), critical ? 1 : 0, 0) == 1;
}

bool add_issuer(X509_CRL* list, X509* issuer) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, list, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  return extension && X509_CRL_add_ext(list, extension.get(), -1) == 1;
}

bool add_entry(X509_CRL* list, const RevokedEntry& entry) {
  BIGNUM* parsed = nullptr;
  if (BN_hex2bn(&parsed, entry.serial.c_str()) == 0) return false;
  const std::unique_ptr<BIGNUM, FreedBy<BN_free>> number(parsed);
  const Integer serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  const AsnTime when(ASN1_TIME_new());
  RevokedCertificate revoked(X509_REVOKED_new());
  if (!serial || !revoked || !when || !set_time(when.get(), entry.revoked) ||
      X509_REVOKED_set_serialNumber(revoked.get(), serial.get()) != 1 ||
      X509_REVOKED_set_revocationDate(revoked.get(), when.get()) != 1) {
    return false;
  }
  if (entry.reason != 0) {  // unspecified is said by leaving it out
    const Enumerated reason(ASN1_ENUMERATED_new());
    if (!reason || ASN1_ENUMERATED_set(reason.get(), entry.reason) != 1 ||
        X509_REVOKED_add1_ext_i2d(revoked.get(), NID_crl_reason, reason.get(), 0, 0) != 1) {
      return false;
    }
  }
  if (X509_CRL_add0_revoked(list, revoked.get()) != 1) return false;
  static_cast<void>(revoked.release());  // the list's now
  return true;
}

}  // namespace

Result<std::string> Authority::list(const ListContent& content) const {
  const RevocationList list(X509_CRL_new());
  const AsnTime from(ASN1_TIME_new());
  const AsnTime until(ASN1_TIME_new());
  bool good = list && from && until && X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate())) == 1 &&
              set_time(from.get(), content.this_update) && set_time(until.get(), content.next_update) &&
              X509_CRL_set1_lastUpdate(list.get(), from.get()) == 1 &&
              X509_CRL_set1_nextUpdate(list.get(), until.get()) == 1 && add_issuer(list.get(), certificate()) &&
              add_number(list.get(), NID_crl_number, content.number, false);
  if (content.base) good = good && add_number(list.get(), NID_delta_crl, *content.base, true);
  for (const auto& entry : content.entries) good = good && add_entry(list.get(), entry);
  if (!good || X509_CRL_sort(list.get()) != 1 || X509_CRL_sign(list.get(), key_.get(), digest_for(key_.get())) <= 0) {
    return fail_openssl("cannot make a revocation list");
  }
  return der_of(list.get(), i2d_X509_CRL);
}

}  // namespace cortexflow::identity
