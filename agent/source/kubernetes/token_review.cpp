// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/token_review.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cortexflow::source {
namespace {

using nlohmann::json;

constexpr const char* kApiVersion = "authentication.k8s.io/v1";
constexpr std::string_view kAccountPrefix = "system:serviceaccount:";
constexpr std::size_t kWhyMax = 300;

std::string member_text(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

// One DNS label, or, of a service account, several with dots between (RFC 1123).
bool is_object_name(std::string_view name, bool dots) {
  return !name.empty() && name.size() <= 253 && name.front() != '.' && name.back() != '.' &&
         std::all_of(name.begin(), name.end(), [dots](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || (dots && c == '.');
         });
}

TokenReview without(TokenResult result, std::string why) {
  if (why.size() > kWhyMax) why.resize(kWhyMax);
  return {result, {}, {}, std::move(why)};
}

TokenReview read_user(const json& status) {
  const auto user = status.find("user");
  const auto name = user != status.end() && user->is_object() ? member_text(*user, "username") : std::string();
  if (!name.starts_with(kAccountPrefix)) {
    return without(TokenResult::kNoServiceAccount,
                   fmt::format("the token is {}'s, which is no service account", name.empty() ? "nobody" : name));
  }
  const auto account = std::string_view(name).substr(kAccountPrefix.size());
  const auto colon = account.find(':');
  if (colon == std::string_view::npos || !is_object_name(account.substr(0, colon), false) ||
      !is_object_name(account.substr(colon + 1), true)) {
    return without(TokenResult::kNotUnderstood, "the API server names a service account that can't be one");
  }
  return {TokenResult::kAuthenticated, std::string(account.substr(0, colon)), std::string(account.substr(colon + 1))};
}

}  // namespace

std::string token_review_request(const std::string& token, const std::string& audience) {
  const json document{{"apiVersion", kApiVersion},
                      {"kind", "TokenReview"},
                      {"spec", {{"token", token}, {"audiences", json::array({audience})}}}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

TokenReview read_token_review(std::string_view body, const std::string& audience) {
  const auto document = json::parse(body, nullptr, false);
  const bool is_review = document.is_object() && member_text(document, "kind") == "TokenReview" &&
                         member_text(document, "apiVersion") == kApiVersion && document.contains("status") &&
                         document["status"].is_object();
  if (!is_review) return without(TokenResult::kNotUnderstood, "the API server's answer is no TokenReview");
  const auto& status = document["status"];
  const auto authenticated = status.find("authenticated");
  if (authenticated == status.end() || !authenticated->is_boolean() || !authenticated->get<bool>()) {
    const auto error = member_text(status, "error");
    return without(TokenResult::kRefused, error.empty() ? "the API server does not know the token" : error);
  }
  const auto audiences = status.find("audiences");
  const bool ours = audiences != status.end() && audiences->is_array() &&
                    std::find(audiences->begin(), audiences->end(), json(audience)) != audiences->end();
  if (!ours) {
    return without(TokenResult::kWrongAudience,
                   fmt::format("the API server does not say that the token is for {}", audience));
  }
  return read_user(status);
}

}  // namespace cortexflow::source
