// SPDX-License-Identifier: Apache-2.0
// A bounded log of records as the control API reads it, from several threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace cortexflow::control {

template <typename Record>
struct RecordBatch {
  std::vector<std::shared_ptr<const Record>> records;  // in the order in which they ended
  std::uint64_t next = 0;                              // cursor for the next read
  std::uint64_t lost = 0;                              // overwritten before this reader came to them
};

template <typename Record>
class RecordView {
 public:
  virtual ~RecordView() = default;
  // Cursor of the first kept record that ended at or after `since`, else of the log's end.
  virtual std::uint64_t cursor_since(std::chrono::system_clock::time_point since) const = 0;
  // Up to `max` records from `cursor` on; waits up to `wait` for one.  Returns at once, empty, when the agent drains.
  // A cursor beyond the end is the end.
  virtual RecordBatch<Record> read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const = 0;

  // Cursor of the log's end; reads no record.
  std::uint64_t log_end() const {
    return read(std::numeric_limits<std::uint64_t>::max(), 0, std::chrono::milliseconds(0)).next;
  }
};

}  // namespace cortexflow::control
