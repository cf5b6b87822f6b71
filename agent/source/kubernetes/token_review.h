// SPDX-License-Identifier: Apache-2.0
// TokenReview (authentication.k8s.io/v1): what an API server says of a token that somebody showed.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace cortexflow::source {

enum class TokenResult {
  kAuthenticated,
  kRefused,           // expired, of another audience, of an object that is gone, or no token of this cluster
  kWrongAudience,     // the server took it, but not for the audience that was asked for
  kNoServiceAccount,  // of a user or a node
  kUnreachable,       // the server did not answer, or not to this process
  kNotUnderstood,     // what it answered
  kBusy,              // as many as may be are under way
};
// By the results' numbers, as metrics name them.
inline constexpr std::array<const char*, 7> kTokenResultNames{
    "authenticated", "refused", "wrong_audience", "no_service_account", "unreachable", "not_understood", "busy"};

struct TokenReview {
  TokenResult result = TokenResult::kNotUnderstood;
  std::string account_namespace, account;  // where it is authenticated
  std::string why = {};                    // else, in words
};

// The body of the request.
[[nodiscard]] std::string token_review_request(const std::string& token, const std::string& audience);
// The body of the answer; a server that knows nothing of audiences names none, and its word is not taken.
[[nodiscard]] TokenReview read_token_review(std::string_view body, const std::string& audience);

}  // namespace cortexflow::source
