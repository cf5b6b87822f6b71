// SPDX-License-Identifier: Apache-2.0
// Asks an API server whose a token is, each time anew: what it said before is not kept, so that a token holds no longer
// than the server says.  Safe to use from several threads.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/result.h"
#include "agent/source/kubernetes/api_client.h"
#include "agent/source/kubernetes/token_review.h"

namespace cortexflow::source {

class TokenReviewer {
 public:
  static constexpr std::size_t kInFlightMax = 16;
  static constexpr std::chrono::seconds kAnswerMax{5};
  static constexpr std::size_t kTokenMax = 8192;  // octets

  [[nodiscard]] static Result<std::unique_ptr<TokenReviewer>> start(ApiAccess access, std::string audience);
  TokenReviewer(const TokenReviewer&) = delete;
  TokenReviewer& operator=(const TokenReviewer&) = delete;
  ~TokenReviewer();

  // Within kAnswerMax and a second.
  [[nodiscard]] TokenReview review(const std::string& token);

  struct Figures {
    std::array<std::uint64_t, kTokenResultNames.size()> results{};
    std::uint64_t in_flight = 0;
  };
  [[nodiscard]] Figures figures() const;
  [[nodiscard]] const std::string& audience() const { return audience_; }

 private:
  struct Job {
    std::string token;
    std::promise<TokenReview> done;
  };

  TokenReviewer(ApiAccess access, std::string audience) : audience_(std::move(audience)), client_(std::move(access)) {}
  void run();
  void begin(const std::shared_ptr<Job>& job);
  [[nodiscard]] TokenReview ask(const std::string& token);

  const std::string audience_;
  ApiClient client_;  // the thread's own, but wake()
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Job>> waiting_;
  Figures figures_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace cortexflow::source
