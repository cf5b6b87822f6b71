// SPDX-License-Identifier: Apache-2.0
// AdmissionReview: what an API server asks before it keeps an object, and the answer.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/service.h"

namespace cortexflow::identity {

// An API server takes 3 MiB a request (MaxRequestBodyBytes), and a review of an update has the object twice.
inline constexpr std::size_t kReviewOctetsMax = 8U << 20U;
inline constexpr std::size_t kReviewValuesMax = 400'000;  // JSON's; what is kept of one is about 150 octets

enum class Operation : std::uint8_t { kCreate, kUpdate, kDelete, kConnect };

struct AdmissionRequest {
  std::string api_version;  // the review's, and the answer's: admission.k8s.io/v1 or v1beta1
  std::string uid;
  std::string group, version, kind;  // the object's
  std::string subresource;           // "status"; empty: the object itself
  Operation operation{};
  model::ObjectName name;     // as far as it is known: neither a pod that is made from a generateName has one
  nlohmann::json object;      // an object of create and update, else null
  nlohmann::json old_object;  // an object of update, else null
};

// The error says what of it is wrong, and is for whoever sent it.
[[nodiscard]] Result<AdmissionRequest> read_admission_review(std::string_view body);

struct AdmissionAnswer {
  std::string refusal;                // what the user is told; empty: admitted
  std::vector<std::string> warnings;  // what the user is told beside
  nlohmann::json patch;               // RFC 6902; null or empty: the object stays as it is
};

[[nodiscard]] std::string admission_review_of(const AdmissionRequest& request, const AdmissionAnswer& answer);

}  // namespace cortexflow::identity
