// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/admission.h"

#include "identity/webhook/admission_review.h"
#include "identity/webhook/enrolment.h"
#include "identity/webhook/validation.h"

namespace cortexflow::identity {

Result<Admission> mutate(std::string_view body, const std::set<std::string>& system_namespaces) {
  const auto request = read_admission_review(body);
  if (!request) return tl::make_unexpected(request.error());
  auto enrolment = enrol(*request, system_namespaces);
  return Admission{admission_review_of(*request, {{}, warnings_of(*request), std::move(enrolment.patch)}),
                   std::move(enrolment.outcome)};
}

Result<Admission> validate(std::string_view body) {
  const auto request = read_admission_review(body);
  if (!request) return tl::make_unexpected(request.error());
  const AdmissionAnswer answer{refusal_of(*request), warnings_of(*request), {}};
  const char* admitted = answer.warnings.empty() ? "admitted" : "warned";
  return Admission{admission_review_of(*request, answer), answer.refusal.empty() ? admitted : "refused"};
}

}  // namespace cortexflow::identity
