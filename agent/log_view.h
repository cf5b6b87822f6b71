// SPDX-License-Identifier: Apache-2.0
// The flow stage's log as the control API reads it.
#pragma once

#include "agent/control/record_view.h"
#include "agent/flow/record_log.h"

namespace cortexflow {

template <typename Record>
class LogView : public control::RecordView<Record> {
 public:
  [[nodiscard]] flow::RecordLog<Record>& log() { return log_; }

  std::uint64_t cursor_since(std::chrono::system_clock::time_point since) const override {
    return log_.cursor_since(since);
  }
  control::RecordBatch<Record> read(std::uint64_t cursor, std::size_t max,
                                    std::chrono::milliseconds wait) const override {
    auto batch = log_.read(cursor, max, wait);
    return {std::move(batch.records), batch.next, batch.lost};
  }

 private:
  flow::RecordLog<Record> log_;
};

}  // namespace cortexflow
