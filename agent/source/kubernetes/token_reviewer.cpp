// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/token_reviewer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "agent/base/thread.h"

namespace cortexflow::source {
namespace {

constexpr const char* kPath = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr std::size_t kAnswerOctetsMax = 1 << 16;
constexpr std::chrono::seconds kBeside{1};  // for the thread's own doings, beside the server's answer

// What a header or a JSON text can carry, and what tokens are of: RFC 6750, b64token.
bool is_token(const std::string& text) {
  return !text.empty() && text.size() <= TokenReviewer::kTokenMax &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || std::string_view("-._~+/=").find(static_cast<char>(c)) != std::string::npos;
         });
}

TokenReview review_of(const Answered& answered, const std::string& body, bool too_long, const std::string& audience) {
  const auto unreachable = [](std::string why) {
    return TokenReview{TokenResult::kUnreachable, {}, {}, std::move(why)};
  };
  if (!answered.error.empty()) return unreachable(answered.error);
  if (too_long) return {TokenResult::kNotUnderstood, {}, {}, "the API server's answer is too long for a TokenReview"};
  switch (answered.status) {
    case 200:
    case 201:
      return read_token_review(body, audience);
    case 401:
      return unreachable("the API server does not take this process's own credential");
    case 403:
      return unreachable(
          "this process may not create TokenReviews: bind ClusterRole system:auth-delegator to its service account");
    default:
      return unreachable(fmt::format("the API server answered with status {}", answered.status));
  }
}

}  // namespace

Result<std::unique_ptr<TokenReviewer>> TokenReviewer::start(ApiAccess access, std::string audience) {
  std::unique_ptr<TokenReviewer> made(new TokenReviewer(std::move(access), std::move(audience)));
  auto thread = start_thread([raw = made.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  made->thread_ = std::move(*thread);
  return made;
}

TokenReviewer::~TokenReviewer() {
  stopping_ = true;
  client_.wake();
  if (thread_.joinable()) thread_.join();
}

TokenReview TokenReviewer::review(const std::string& token) {
  auto review = ask(token);
  const std::lock_guard lock(mutex_);
  ++figures_.results.at(static_cast<std::size_t>(review.result));
  return review;
}

TokenReview TokenReviewer::ask(const std::string& token) {
  if (!is_token(token)) return {TokenResult::kRefused, {}, {}, "what was shown is no bearer token"};
  const auto job = std::make_shared<Job>();
  job->token = token;
  auto done = job->done.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (figures_.in_flight >= kInFlightMax) {
      return {TokenResult::kBusy, {}, {}, fmt::format("{} tokens are being reviewed already", kInFlightMax)};
    }
    ++figures_.in_flight;
    waiting_.push_back(job);
  }
  client_.wake();
  if (done.wait_for(kAnswerMax + kBeside) != std::future_status::ready) {
    return {TokenResult::kUnreachable,
            {},
            {},
            fmt::format("the API server did not answer within {} s", kAnswerMax.count())};
  }
  return done.get();
}

TokenReviewer::Figures TokenReviewer::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void TokenReviewer::begin(const std::shared_ptr<Job>& job) {
  struct Taken {
    std::string body;
    bool too_long = false;
  };
  const auto taken = std::make_shared<Taken>();
  client_.post(
      kPath, token_review_request(job->token, audience_), kAnswerMax,
      [taken](std::string_view octets, int) {
        taken->too_long = taken->body.size() + octets.size() > kAnswerOctetsMax;
        if (!taken->too_long) taken->body += octets;
        return !taken->too_long;
      },
      [this, job, taken](const Answered& answered) {
        auto review = review_of(answered, taken->body, taken->too_long, audience_);
        {
          const std::lock_guard lock(mutex_);
          --figures_.in_flight;
        }
        job->done.set_value(std::move(review));
      });
}

void TokenReviewer::run() {
  constexpr std::chrono::minutes kIdle{1};
  while (!stopping_) {
    std::vector<std::shared_ptr<Job>> begun;
    {
      const std::lock_guard lock(mutex_);
      begun.swap(waiting_);
    }
    for (const auto& job : begun) begin(job);
    client_.run(begun.empty() ? std::chrono::milliseconds(kIdle) : std::chrono::milliseconds(0));
  }
}

}  // namespace cortexflow::source
