// SPDX-License-Identifier: Apache-2.0
// Single requests to an API server, by threads that wait for the answer.  Safe to use from several.
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

struct ApiReply {
  int status = 0;  // 0: there is no answer
  std::string body;
  std::string error;      // why there is none, or not all of it; empty: there is
  bool too_long = false;  // there was more than was wanted
};

class ApiCalls {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ApiCalls>> start(ApiAccess access);
  ApiCalls(const ApiCalls&) = delete;
  ApiCalls& operator=(const ApiCalls&) = delete;
  ~ApiCalls();

  // Within answer_max and a second.
  [[nodiscard]] ApiReply ask(ApiRequest request, std::chrono::seconds answer_max, std::size_t octets_max);

 private:
  struct Job {
    ApiRequest request;
    std::chrono::seconds answer_max{};
    std::size_t octets_max = 0;
    ApiReply reply;
    std::promise<ApiReply> done;
  };

  explicit ApiCalls(ApiAccess access) : client_(std::move(access)) {}
  void run();
  void begin(const std::shared_ptr<Job>& job);

  ApiClient client_;  // the thread's own, but wake()
  std::mutex mutex_;
  std::vector<std::shared_ptr<Job>> waiting_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace cortexflow::source
