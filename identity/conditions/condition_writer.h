// SPDX-License-Identifier: Apache-2.0
// Follows our own kinds at an API server, and keeps the condition Accepted of each object true.  One thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/result.h"
#include "agent/source/kubernetes/api_client.h"
#include "identity/conditions/condition_queue.h"

namespace cortexflow::identity {

class ConditionWriter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ConditionWriter>> start(source::ApiAccess access);
  ConditionWriter(const ConditionWriter&) = delete;
  ConditionWriter& operator=(const ConditionWriter&) = delete;
  ~ConditionWriter();

  struct KindFigures {
    std::string kind;
    ConditionQueue::Figures writes;
    std::uint64_t unheard = 0;  // times that it could not be listed or watched
  };
  struct Status {
    std::vector<KindFigures> kinds;
    std::size_t waiting = 0;
    std::string problem;  // why not every condition is true; empty: it is, or will be in its turn
  };
  [[nodiscard]] Status status() const;

 private:
  explicit ConditionWriter(source::ApiAccess access);
  void run();
  void follow(source::Reflector& reflector);
  void write();
  void publish();
  [[nodiscard]] source::Reflector::Listener listener(const source::Resource& resource);

  // The thread's own, but client_.wake().
  source::ApiClient client_;
  std::vector<source::Reflector> reflectors_;
  ConditionQueue queue_;

  mutable std::mutex mutex_;  // status_
  Status status_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace cortexflow::identity
