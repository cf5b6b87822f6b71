// SPDX-License-Identifier: Apache-2.0
// Threads for what takes long, such as a signature and its way to the disk.  They mostly wait: those that wait for the
// disk at the same time share one sync.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cortexflow::identity {

class Workers {
 public:
  explicit Workers(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
  }
  // What has begun is finished, what waits is not done.
  ~Workers() {
    for (auto& thread : threads_) thread.request_stop();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void add(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    more_.notify_one();
  }
  // Before all that waits.
  void add_first(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_front(std::move(job));
    }
    more_.notify_one();
  }

 private:
  void work(const std::stop_token& stop) {
    for (std::unique_lock lock(mutex_); more_.wait(lock, stop, [this] { return !jobs_.empty(); });) {
      if (stop.stop_requested()) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any more_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::jthread> threads_;  // last: they end before what they use
};

}  // namespace cortexflow::identity
