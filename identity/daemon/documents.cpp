// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/documents.h"

#include "agent/model/time_text.h"
#include "identity/certificates.h"
#include "identity/renewal.h"
#include "identity/revocation_reason.h"

namespace cortexflow::identity {
namespace {

using model::time_text;
using nlohmann::ordered_json;

std::string pem_of_der(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  return certificate ? pem_of(certificate.get()) : std::string();
}

}  // namespace

ordered_json json_of(const Entry& entry, Time now) {
  ordered_json out{{"serial", entry.serial},
                   {"spiffe_id", entry.id},
                   {"state", entry.revoked           ? "revoked"
                             : now > entry.not_after ? "expired"
                                                     : "valid"},
                   {"not_before", time_text(entry.not_before)},
                   {"not_after", time_text(entry.not_after)},
                   {"issuer", entry.issuer}};
  if (entry.revoked) {
    out["revoked_at"] = time_text(*entry.revoked);
    out["reason"] = reason_text(entry.reason);
  }
  return out;
}

ordered_json json_of(const Grant& grant, Time now) {
  auto out = json_of(grant.entry, now);
  out["renew_at"] = time_text(renewal_time(grant.entry.not_before, grant.entry.not_after, draw_jitter()));
  std::string chain;
  for (const auto& der : grant.certificate.chain) chain += pem_of_der(der);
  out["chain"] = std::move(chain);
  return out;
}

ordered_json json_of(const Verdict& verdict) {
  ordered_json out{{"valid", verdict.problem.empty()}, {"problem", verdict.problem}};
  if (verdict.verified) {
    out["spiffe_id"] = verdict.verified->id.text();
    out["serial"] = verdict.verified->serial;
    out["issuer"] = verdict.verified->issuer;
  }
  return out;
}

ordered_json json_of(const AuthoritySet& authorities, const std::string& trust_domain) {
  auto rows = ordered_json::array();
  std::string bundle;
  for (auto* root : authorities.roots()) {
    std::string role = "given";
    for (const auto& one : authorities.held) {
      if (X509_cmp(one.authority->root(), root) == 0) role = one.role;
    }
    bundle += pem_of(root);
    rows.push_back({{"key_id", key_id(root)},
                    {"role", role},
                    {"subject", subject_text(root)},
                    {"not_after", time_text(not_after(root))},
                    {"certificate", pem_of(root)}});
  }
  return {{"trust_domain", trust_domain},
          {"issuer", authorities.active().id()},
          {"roots", std::move(rows)},
          {"bundle", bundle}};
}

}  // namespace cortexflow::identity
