// SPDX-License-Identifier: Apache-2.0
// The threads that serve connections, one each, as long as these last.  Peers that keep their threads waiting can't
// keep others out: when a connection comes and no thread is free, the oldest connection whose peer is waited for ends.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::http {

class Workers {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kQueueMax = 256;  // connections that were taken and that no thread has yet

  // All of them, or why the system refuses them.
  [[nodiscard]] static Result<std::unique_ptr<Workers>> start(std::size_t count);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers();

  // Waits while the queue is full: who asks meanwhile stays in the kernel's, which refuses when it is full as well.
  void enqueue(std::function<void()> job);
  // Called by a job: until its peer is ready for `events` (poll(2)).  False: not until `end`, or the connection is
  // over.
  [[nodiscard]] bool wait(int fd, short events, Clock::time_point end);
  // Does what is enqueued; after `patience` no peer is waited for any more.
  void finish(std::chrono::milliseconds patience);

 private:
  struct Worker {
    std::thread thread;
    std::uint64_t taken = 0;  // number of its connection
    int waits_for = -1;       // the peer's socket
    bool shed = false;        // its connection is over, and it is on its way back
  };

  Workers() = default;
  static thread_local Worker* self_;
  void run(Worker& self);
  [[nodiscard]] bool done() const { return jobs_.empty() && idle_ == workers_.size(); }
  void shed_for_queue();
  void shed(Worker& worker);

  std::mutex mutex_;
  std::condition_variable work_, rest_, room_;  // there is some; nothing is left of it; for more of it
  std::deque<std::function<void()>> jobs_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t idle_ = 0;
  std::size_t returning_ = 0;  // shed, not idle yet
  std::uint64_t taken_ = 0;
  bool impatient_ = false;
  bool ending_ = false;
};

}  // namespace cortexflow::http
