// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/admission_review.h"

#include <array>
#include <optional>
#include <utility>

#include "agent/source/kubernetes/base64.h"
#include "agent/source/kubernetes/json_text.h"
#include "agent/source/manifest/value.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 2> kApiVersions{"admission.k8s.io/v1", "admission.k8s.io/v1beta1"};
constexpr std::array<std::pair<std::string_view, Operation>, 4> kOperations{{{"CREATE", Operation::kCreate},
                                                                             {"UPDATE", Operation::kUpdate},
                                                                             {"DELETE", Operation::kDelete},
                                                                             {"CONNECT", Operation::kConnect}}};
constexpr std::size_t kTextMax = 1024;    // octets of a uid, a name, a kind
constexpr std::size_t kWarningMax = 256;  // octets; API servers cut longer ones
constexpr std::size_t kWarningsMax = 15;  // 4,096 octets of them all are shown
constexpr int kRefusedStatus = 422;       // the object can't be processed

tl::unexpected<Error> wrong(std::string_view field, std::string_view expected, const json& found) {
  const auto shown = found.is_string() ? source::quoted(found.get_ref<const std::string&>())
                     : found.is_null() ? std::string("nothing")
                                       : std::string(found.type_name());
  return fail("the AdmissionReview's {}: expected {}, found {}", field, expected, shown);
}

const json& member(const json& object, const char* key) {
  static const json kNone;
  const auto at = object.find(key);
  return at == object.end() ? kNone : *at;
}

// What is absent or null is empty where it need not be there.
Result<std::string> text_of(const json& object, const char* key, const std::string& path, bool needed) {
  const auto& value = member(object, key);
  if (value.is_null() && !needed) return std::string();
  if (!value.is_string()) return wrong(path, "a text", value);
  auto text = value.get<std::string>();
  if ((needed && text.empty()) || text.size() > kTextMax) {
    return wrong(path, fmt::format("a text of 1 to {} octets", kTextMax), value);
  }
  return text;
}

Result<void> read_texts(const json& request, AdmissionRequest& to) {
  struct Text {
    const json& holder;
    const char* key;
    const char* path;
    bool needed;
    std::string& to;
  };
  const auto& kind = member(request, "kind");
  if (!kind.is_object()) return wrong("request.kind", "group, version and kind of the object", kind);
  const std::array texts{Text{request, "uid", "request.uid", true, to.uid},
                         Text{kind, "group", "request.kind.group", false, to.group},
                         Text{kind, "version", "request.kind.version", true, to.version},
                         Text{kind, "kind", "request.kind.kind", true, to.kind},
                         Text{request, "subResource", "request.subResource", false, to.subresource},
                         Text{request, "namespace", "request.namespace", false, to.name.ns},
                         Text{request, "name", "request.name", false, to.name.name}};
  for (const auto& one : texts) {
    auto text = text_of(one.holder, one.key, one.path, one.needed);
    if (!text) return tl::make_unexpected(std::move(text.error()));
    one.to = std::move(*text);
  }
  return {};
}

Result<void> take_object(json& request, const char* key, const std::string& path, json& to) {
  const auto at = request.find(key);
  if (at == request.end() || !at->is_object()) return wrong(path, "the object", at == request.end() ? json() : *at);
  to = std::move(*at);
  return {};
}

Result<void> read_objects(json& request, AdmissionRequest& to) {
  const auto& given = member(request, "operation");
  std::optional<Operation> operation;
  for (const auto& [name, value] : kOperations) {
    if (given == name) operation = value;
  }
  if (!operation) return wrong("request.operation", "CREATE, UPDATE, DELETE or CONNECT", given);
  to.operation = *operation;
  if (to.operation == Operation::kCreate || to.operation == Operation::kUpdate) {
    if (auto taken = take_object(request, "object", "request.object", to.object); !taken) return taken;
  }
  if (to.operation == Operation::kUpdate) return take_object(request, "oldObject", "request.oldObject", to.old_object);
  return {};
}

}  // namespace

Result<AdmissionRequest> read_admission_review(std::string_view body) {
  auto review = source::parse_json(body, kReviewValuesMax);
  if (!review) {
    return fail("the body is no AdmissionReview: it is no JSON of up to {} values, nested up to {} deep",
                kReviewValuesMax, source::kJsonDepthMax);
  }
  if (!review->is_object())
    return fail("the body is no AdmissionReview: expected an object, found {}", review->type_name());
  if (const auto& kind = member(*review, "kind"); kind != "AdmissionReview")
    return wrong("kind", "AdmissionReview", kind);
  AdmissionRequest made;
  for (const auto version : kApiVersions) {
    if (member(*review, "apiVersion") == version) made.api_version = version;
  }
  if (made.api_version.empty()) {
    return wrong("apiVersion", fmt::format("{} or {}", kApiVersions[0], kApiVersions[1]),
                 member(*review, "apiVersion"));
  }
  const auto request = review->find("request");
  if (request == review->end() || !request->is_object()) {
    return wrong("request", "what is asked", request == review->end() ? json() : *request);
  }
  if (auto read = read_texts(*request, made); !read) return tl::make_unexpected(std::move(read.error()));
  if (auto read = read_objects(*request, made); !read) return tl::make_unexpected(std::move(read.error()));
  return made;
}

std::string admission_review_of(const AdmissionRequest& request, const AdmissionAnswer& answer) {
  json response{{"uid", request.uid}, {"allowed", answer.refusal.empty()}};
  if (!answer.refusal.empty()) response["status"] = {{"code", kRefusedStatus}, {"message", answer.refusal}};
  for (const auto& warning : answer.warnings) {
    if (response["warnings"].size() < kWarningsMax) response["warnings"].push_back(warning.substr(0, kWarningMax));
  }
  if (!answer.patch.empty()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = source::to_base64(answer.patch.dump());
  }
  const json review{
      {"apiVersion", request.api_version}, {"kind", "AdmissionReview"}, {"response", std::move(response)}};
  return review.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace cortexflow::identity
