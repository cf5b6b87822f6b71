// SPDX-License-Identifier: Apache-2.0
// Single requests to an API server, asked and waited for by any thread; one more thread carries them.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/result.h"
#include "agent/source/kubernetes/api_client.h"

namespace cortexflow::source {

struct ApiAnswer {
  int status = 0;     // of HTTP; 0: none came
  std::string body;   // up to what was asked for
  std::string error;  // in words: no whole answer came; empty: it did
};

class ApiRequests {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ApiRequests>> start(ApiAccess access);
  ApiRequests(const ApiRequests&) = delete;
  ApiRequests& operator=(const ApiRequests&) = delete;
  ~ApiRequests();

  // Within `answer_max` and a second; a longer body than `octets_max` is an error.
  [[nodiscard]] ApiAnswer ask(ApiRequest request, std::chrono::seconds answer_max, std::size_t octets_max);

 private:
  struct Job {
    ApiRequest request;
    std::chrono::seconds answer_max;
    std::size_t octets_max;
    ApiAnswer answer{};
    std::promise<ApiAnswer> done{};
  };

  explicit ApiRequests(ApiAccess access) : client_(std::move(access)) {}
  void run();
  void begin(const std::shared_ptr<Job>& job);

  ApiClient client_;  // the thread's own, but wake()
  std::mutex mutex_;
  std::vector<std::shared_ptr<Job>> waiting_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace cortexflow::source
