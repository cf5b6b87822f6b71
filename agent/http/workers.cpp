// SPDX-License-Identifier: Apache-2.0
#include "agent/http/workers.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "agent/base/thread.h"

namespace cortexflow::http {

thread_local Workers::Worker* Workers::self_ = nullptr;

Result<std::unique_ptr<Workers>> Workers::start(std::size_t count) {
  std::unique_ptr<Workers> out(new Workers());
  out->workers_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto worker = std::make_unique<Worker>();
    auto thread = start_thread([pool = out.get(), raw = worker.get()] { pool->run(*raw); });
    if (!thread) return tl::make_unexpected(std::move(thread.error()));
    worker->thread = std::move(*thread);
    const std::lock_guard lock(out->mutex_);  // those before may look at them already
    out->workers_.push_back(std::move(worker));
  }
  // Or the first connections would find no thread free.
  std::unique_lock lock(out->mutex_);
  out->rest_.wait(lock, [&out] { return out->done(); });
  lock.unlock();
  return out;
}

Workers::~Workers() {
  finish({});
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  work_.notify_all();
  for (const auto& worker : workers_) worker->thread.join();
}

void Workers::enqueue(std::function<void()> job) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return jobs_.size() < kQueueMax; });
    jobs_.push_back(std::move(job));
    shed_for_queue();
  }
  work_.notify_one();
}

bool Workers::wait(int fd, short events, Clock::time_point end) {
  auto& self = *self_;
  {
    const std::lock_guard lock(mutex_);
    if (self.shed || impatient_) return false;
    self.waits_for = fd;
    shed_for_queue();
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
  pollfd peer{fd, events, 0};
  const bool ready = poll(&peer, 1, static_cast<int>(std::max<decltype(left)>(left, 0))) > 0;
  const std::lock_guard lock(mutex_);
  self.waits_for = -1;
  return ready && !self.shed;
}

void Workers::finish(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  rest_.wait_for(lock, patience, [this] { return done(); });
  impatient_ = true;
  for (const auto& worker : workers_) {
    if (worker->waits_for >= 0 && !worker->shed) shed(*worker);
  }
  rest_.wait(lock, [this] { return done(); });
}

void Workers::run(Worker& self) {
  self_ = &self;
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    if (done()) rest_.notify_all();
    work_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    if (jobs_.size() + 1 == kQueueMax) room_.notify_all();
    self.taken = ++taken_;
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    if (std::exchange(self.shed, false)) --returning_;
  }
}

// As many as there are connections that no thread is free for.
void Workers::shed_for_queue() {
  while (jobs_.size() > idle_ + returning_) {
    Worker* oldest = nullptr;
    for (const auto& worker : workers_) {
      if (worker->waits_for < 0 || worker->shed) continue;
      if (!oldest || worker->taken < oldest->taken) oldest = worker.get();
    }
    if (!oldest) return;  // all work; who comes to wait looks again
    shed(*oldest);
  }
}

// It is waited for, so that nobody else closes it meanwhile.
void Workers::shed(Worker& worker) {
  worker.shed = true;
  ++returning_;
  ::shutdown(worker.waits_for, SHUT_RDWR);
}

}  // namespace cortexflow::http
