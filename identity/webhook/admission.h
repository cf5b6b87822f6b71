// SPDX-License-Identifier: Apache-2.0
// The webhook's two questions, from an AdmissionReview's octets to the answer's.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::identity {

struct Admission {
  std::string body;     // an AdmissionReview
  std::string outcome;  // a word for metrics
};

// Enrols pods: /mutate.  The error says why the body is no AdmissionReview.
[[nodiscard]] Result<Admission> mutate(std::string_view body, const std::set<std::string>& system_namespaces);
// Refuses what agents would: /validate.
[[nodiscard]] Result<Admission> validate(std::string_view body);

}  // namespace cortexflow::identity
