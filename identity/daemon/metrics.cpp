// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/metrics.h"

#include "agent/sink/families.h"

namespace cortexflow::identity {

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  const auto figures = issuer_.figures();
  const auto set = issuer_.authorities();
  sink::Families families;
  families.counter("cortexflow_certificates_issued_total", "Certificates issued.").add(figures.issued);
  families.counter("cortexflow_certificates_revoked_total", "Certificates revoked.").add(figures.revoked);
  families.counter("cortexflow_certificate_refusals_total", "Requests that were refused, by why.")
      .add_each(figures.refused, "reason");
  families.gauge("cortexflow_certificates", "Certificates that are kept account of.")
      .add(static_cast<std::uint64_t>(issuer_.ledger().size()));
  families.gauge("cortexflow_certificates_max", "How many there may be.")
      .add(static_cast<std::uint64_t>(issuer_.ledger().capacity()));
  families.gauge("cortexflow_certificate_authority_expiry_timestamp_seconds",
                 "When the chain of an authority ends, by its role in a rotation.");
  for (const auto& one : set->held) {
    const auto end = std::chrono::duration<double>(one.authority->ends().time_since_epoch()).count();
    families.add(end, {{"role", one.role}, {"key_id", one.authority->id()}});
  }
  return families.take();
}

}  // namespace cortexflow::identity
