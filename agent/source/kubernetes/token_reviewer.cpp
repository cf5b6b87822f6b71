// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/token_reviewer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace cortexflow::source {
namespace {

constexpr const char* kPath = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr std::size_t kAnswerOctetsMax = 1 << 16;

// What a header or a JSON text can carry, and what tokens are of: RFC 6750, b64token.
bool is_token(const std::string& text) {
  return !text.empty() && text.size() <= TokenReviewer::kTokenMax &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || std::string_view("-._~+/=").find(static_cast<char>(c)) != std::string::npos;
         });
}

TokenReview review_of(const ApiReply& reply, const std::string& audience) {
  const auto unreachable = [](std::string why) {
    return TokenReview{TokenResult::kUnreachable, {}, {}, std::move(why)};
  };
  if (!reply.error.empty()) return unreachable(reply.error);
  if (reply.too_long)
    return {TokenResult::kNotUnderstood, {}, {}, "the API server's answer is too long for a TokenReview"};
  switch (reply.status) {
    case 200:
    case 201:
      return read_token_review(reply.body, audience);
    case 401:
      return unreachable("the API server does not take this process's own credential");
    case 403:
      return unreachable(
          "this process may not create TokenReviews: let its service account create "
          "tokenreviews.authentication.k8s.io");
    default:
      return unreachable(fmt::format("the API server answered with status {}", reply.status));
  }
}

}  // namespace

Result<std::unique_ptr<TokenReviewer>> TokenReviewer::start(ApiAccess access, std::string audience) {
  auto calls = ApiCalls::start(std::move(access));
  if (!calls) return tl::make_unexpected(std::move(calls.error()));
  return std::unique_ptr<TokenReviewer>(new TokenReviewer(std::move(*calls), std::move(audience)));
}

TokenReview TokenReviewer::review(const std::string& token) {
  auto review = ask(token);
  const std::lock_guard lock(mutex_);
  ++figures_.results.at(static_cast<std::size_t>(review.result));
  return review;
}

TokenReview TokenReviewer::ask(const std::string& token) {
  if (!is_token(token)) return {TokenResult::kRefused, {}, {}, "what was shown is no bearer token"};
  {
    const std::lock_guard lock(mutex_);
    if (figures_.in_flight >= kInFlightMax) {
      return {TokenResult::kBusy, {}, {}, fmt::format("{} tokens are being reviewed already", kInFlightMax)};
    }
    ++figures_.in_flight;
  }
  const auto reply = calls_->ask({"POST", kPath, token_review_request(token, audience_)}, kAnswerMax, kAnswerOctetsMax);
  const std::lock_guard lock(mutex_);
  --figures_.in_flight;
  return review_of(reply, audience_);
}

TokenReviewer::Figures TokenReviewer::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

}  // namespace cortexflow::source
