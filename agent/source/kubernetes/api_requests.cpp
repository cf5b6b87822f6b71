// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/api_requests.h"

#include <fmt/format.h>

#include <utility>

#include "agent/base/thread.h"

namespace cortexflow::source {
namespace {

constexpr std::chrono::seconds kBeside{1};  // for the thread's own doings, beside the server's answer

}  // namespace

Result<std::unique_ptr<ApiRequests>> ApiRequests::start(ApiAccess access) {
  std::unique_ptr<ApiRequests> made(new ApiRequests(std::move(access)));
  auto thread = start_thread([raw = made.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  made->thread_ = std::move(*thread);
  return made;
}

ApiRequests::~ApiRequests() {
  stopping_ = true;
  client_.wake();
  if (thread_.joinable()) thread_.join();
}

ApiAnswer ApiRequests::ask(ApiRequest request, std::chrono::seconds answer_max, std::size_t octets_max) {
  const auto job = std::make_shared<Job>(Job{std::move(request), answer_max, octets_max});
  auto done = job->done.get_future();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(job);
  }
  client_.wake();
  if (done.wait_for(answer_max + kBeside) != std::future_status::ready) {
    return {0, {}, fmt::format("the API server did not answer within {} s", answer_max.count())};
  }
  return done.get();
}

void ApiRequests::begin(const std::shared_ptr<Job>& job) {
  client_.send(
      job->request, job->answer_max,
      [job](std::string_view octets, int) {
        auto& answer = job->answer;
        if (answer.body.size() + octets.size() > job->octets_max) {
          answer.error = fmt::format("the API server's answer is longer than {} octets", job->octets_max);
          return false;
        }
        answer.body += octets;
        return true;
      },
      [job](const Answered& answered) {
        job->answer.status = answered.status;
        if (job->answer.error.empty()) job->answer.error = answered.error;
        job->done.set_value(std::move(job->answer));
      });
}

void ApiRequests::run() {
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
