// SPDX-License-Identifier: Apache-2.0
// Any octets as an AdmissionReview: a refusal with a reason, or an answer of its version, with its uid, whose patch
// makes another pod that keeps all that it had.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/source/kubernetes/base64.h"
#include "identity/webhook/admission.h"
#include "identity/webhook/admission_review.h"

namespace {

using namespace cortexflow;
using nlohmann::json;

void check(bool holds) {
  if (!holds) std::abort();
}

// `after` has all that `before` has; a null counts as nothing.
void check_kept(const json& before, const json& after) {
  if (before.is_null()) return;
  if (!before.is_object()) return check(before == after);
  check(after.is_object());
  for (const auto& [key, value] : before.items()) check_kept(value, value.is_null() ? value : after.at(key));
}

void check_answer(std::string_view body, const Result<identity::Admission>& admission) {
  const auto request = identity::read_admission_review(body);
  check(request.has_value() == admission.has_value());
  if (!admission) return check(!admission.error().message.empty());
  const auto review = json::parse(admission->body);
  const auto& response = review.at("response");
  check(review.at("apiVersion") == request->api_version && response.at("uid") == request->uid);
  check(response.at("allowed") == true || !response.at("status").at("message").get<std::string>().empty());
  if (!response.contains("patch")) return;
  const auto patch = json::parse(source::from_base64(response.at("patch").get<std::string>()).value());
  const auto patched = request->object.patch(patch);
  check(patched != request->object);
  check_kept(request->object, patched);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  check_answer(body, identity::mutate(body, {"kube-system"}));
  check_answer(body, identity::validate(body));
  return 0;
}
