// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/requests.h"

#include <nlohmann/json.hpp>
#include <set>

#include "identity/certificates.h"
#include "identity/revocation_reason.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

// An object of text members; `number` may be one of them, and is a number.
Result<json> members_of(std::string_view body, const std::set<std::string>& needed, const std::set<std::string>& others,
                        const std::string& number = {}) {
  auto object = json::parse(body, nullptr, false);
  if (!object.is_object()) return fail("the body is no JSON object");
  for (const auto& [key, value] : object.items()) {
    if (!needed.contains(key) && !others.contains(key)) return fail("unknown member {}", key);
    if (key == number ? !value.is_number_unsigned() : !value.is_string()) {
      return fail("{}: expected a {}", key, key == number ? "number" : "text");
    }
  }
  for (const auto& key : needed) {
    if (!object.contains(key)) return fail("{} is missing", key);
  }
  return object;
}

}  // namespace

Result<IssueRequest> parse_issue(std::string_view body) {
  const auto object = members_of(body, {"csr"}, {"lifetime_seconds"}, "lifetime_seconds");
  if (!object) return tl::make_unexpected(object.error());
  IssueRequest request{object->at("csr").get<std::string>(), std::nullopt};
  if (object->contains("lifetime_seconds")) {
    constexpr std::uint64_t kMost = UINT32_MAX;  // beyond any lifetime, and no overflow of a duration
    request.lifetime = std::chrono::seconds(std::min(object->at("lifetime_seconds").get<std::uint64_t>(), kMost));
  }
  return request;
}

Result<RevokeRequest> parse_revoke(std::string_view body) {
  const auto object = members_of(body, {"serial"}, {"reason"});
  if (!object) return tl::make_unexpected(object.error());
  auto serial = parse_serial(object->at("serial").get<std::string>());
  if (!serial) return tl::make_unexpected(std::move(serial.error()));
  const auto reason = parse_reason(object->value("reason", "unspecified"));
  if (!reason) return fail("unknown reason; expected one of those of RFC 5280, such as keyCompromise or superseded");
  return RevokeRequest{std::move(*serial), *reason};
}

Result<std::string> parse_verify(std::string_view body) {
  const auto object = members_of(body, {"chain"}, {});
  if (!object) return tl::make_unexpected(object.error());
  return object->at("chain").get<std::string>();
}

Result<std::string> parse_rotation(std::string_view body) {
  const auto object = members_of(body, {"step"}, {});
  if (!object) return tl::make_unexpected(object.error());
  auto step = object->at("step").get<std::string>();
  if (step != "prepare" && step != "activate") return fail("step: expected prepare or activate");
  return step;
}

}  // namespace cortexflow::identity
