// SPDX-License-Identifier: Apache-2.0
// What waits to be written into objects' status: one write an object, the latest; one at a time, no more than 20 a
// second, and later where the server fails.  Says what to send next, takes what was answered; no clock, no socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/model/object.h"
#include "agent/source/kubernetes/reflector.h"

namespace cortexflow::identity {

class ConditionQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::milliseconds kBetween{50};  // two writes
  static constexpr std::chrono::milliseconds kBackOffFirst{1000}, kBackOffMax{30'000};
  // What is beyond is counted as failed, and comes again when it changes or is listed anew.
  static constexpr std::size_t kWaitingMax = 65'536;

  struct Figures {
    std::uint64_t written = 0, failed = 0;
  };
  struct Write {
    model::ObjectKey key;
    std::string body;
  };

  void put(const model::ObjectKey& key, std::string body);
  void erase(const model::ObjectKey& key);
  void clear(model::Kind kind);

  // Nothing: one is under way, or it is not yet time(), or nothing waits.
  [[nodiscard]] std::optional<Write> next(Time now);
  // When next() may have something to say; nothing: one is under way, or nothing waits.
  [[nodiscard]] std::optional<Time> time() const;
  // What came of it; `words` are the server's.
  void answered(const source::Answered& answered, const std::string& words, Time now);

  [[nodiscard]] std::size_t size() const { return waiting_.size(); }
  [[nodiscard]] Figures figures(model::Kind kind) const;
  // Why the latest write failed; empty: it did not.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void failed(const source::Answered& answered, const std::string& words, Time now);

  std::map<model::ObjectKey, std::string> waiting_;
  std::optional<Write> under_way_;
  bool outdated_ = false;  // what is under way: nothing of it is sent again
  model::ObjectKey latest_;
  Time at_{};
  unsigned int failures_in_row_ = 0;
  std::map<model::Kind, Figures> figures_;
  std::string problem_;
};

}  // namespace cortexflow::identity
