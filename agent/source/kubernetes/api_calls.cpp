// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/api_calls.h"

#include <fmt/format.h>

#include <utility>

#include "agent/base/thread.h"

namespace cortexflow::source {
namespace {

constexpr std::chrono::seconds kBeside{1};  // for the thread's own doings, beside the server's answer

}  // namespace

Result<std::unique_ptr<ApiCalls>> ApiCalls::start(ApiAccess access) {
  std::unique_ptr<ApiCalls> made(new ApiCalls(std::move(access)));
  auto thread = start_thread([raw = made.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  made->thread_ = std::move(*thread);
  return made;
}

ApiCalls::~ApiCalls() {
  stopping_ = true;
  client_.wake();
  if (thread_.joinable()) thread_.join();
}

ApiReply ApiCalls::ask(ApiRequest request, std::chrono::seconds answer_max, std::size_t octets_max) {
  const auto job = std::make_shared<Job>();
  job->request = std::move(request);
  job->answer_max = answer_max;
  job->octets_max = octets_max;
  auto done = job->done.get_future();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(job);
  }
  client_.wake();
  if (done.wait_for(answer_max + kBeside) == std::future_status::ready) return done.get();
  return {0, {}, fmt::format("the API server did not answer within {} s", answer_max.count())};
}

void ApiCalls::begin(const std::shared_ptr<Job>& job) {
  client_.send(
      job->request, job->answer_max,
      [job](std::string_view octets, int) {
        auto& reply = job->reply;
        reply.too_long = reply.body.size() + octets.size() > job->octets_max;
        if (!reply.too_long) reply.body += octets;
        return !reply.too_long;
      },
      [job](const Answered& answered) {
        job->reply.status = answered.status;
        job->reply.error = answered.error;
        job->done.set_value(std::move(job->reply));
      });
}

void ApiCalls::run() {
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
