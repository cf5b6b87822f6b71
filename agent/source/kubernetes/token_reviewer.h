// SPDX-License-Identifier: Apache-2.0
// Asks an API server whose a token is, each time anew: what it said before is not kept, so that a token holds no longer
// than the server says.  Safe to use from several threads.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "agent/base/result.h"
#include "agent/source/kubernetes/api_calls.h"
#include "agent/source/kubernetes/token_review.h"

namespace cortexflow::source {

class TokenReviewer {
 public:
  static constexpr std::size_t kInFlightMax = 16;
  static constexpr std::chrono::seconds kAnswerMax{5};
  static constexpr std::size_t kTokenMax = 8192;  // octets

  [[nodiscard]] static Result<std::unique_ptr<TokenReviewer>> start(ApiAccess access, std::string audience);

  // Within kAnswerMax and a second.
  [[nodiscard]] TokenReview review(const std::string& token);

  struct Figures {
    std::array<std::uint64_t, kTokenResultNames.size()> results{};
    std::uint64_t in_flight = 0;
  };
  [[nodiscard]] Figures figures() const;
  [[nodiscard]] const std::string& audience() const { return audience_; }

 private:
  TokenReviewer(std::unique_ptr<ApiCalls> calls, std::string audience)
      : audience_(std::move(audience)), calls_(std::move(calls)) {}
  [[nodiscard]] TokenReview ask(const std::string& token);

  const std::string audience_;
  const std::unique_ptr<ApiCalls> calls_;
  mutable std::mutex mutex_;
  Figures figures_;
};

}  // namespace cortexflow::source
