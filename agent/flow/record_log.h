// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace cortexflow::flow {

// The latest records, in the order in which they ended.  A cursor is a record's number since the agent started. Writers
// never wait for readers: what a reader was too slow for is overwritten, and it is told how much.  end_of(record) says
// when it ended.
// Thread-safe.
template <typename Record>
class RecordLog {
 public:
  static constexpr std::size_t kDefaultMax = 16384;  // some 500 octets each: about 8 MB

  struct Batch {
    std::vector<std::shared_ptr<const Record>> records;
    std::uint64_t next = 0;  // cursor for the next read
    std::uint64_t lost = 0;  // overwritten before this reader came to them
  };

  explicit RecordLog(std::size_t max = kDefaultMax) : ring_(std::max<std::size_t>(max, 1)) {}

  void push(std::shared_ptr<const Record> record) {
    {
      const std::lock_guard lock(mutex_);
      std::swap(ring_[end_ % ring_.size()], record);
      ++end_;
    }
    changed_.notify_all();
    // The overwritten one, now in `record`, is freed outside of the lock.
  }
  // Wakes all readers.  From now on read() returns what is left and never waits.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

  // Cursor of the first kept record that ended at or after `since`, or of the end.
  std::uint64_t cursor_since(std::chrono::system_clock::time_point since) const {
    const std::lock_guard lock(mutex_);
    // Not a binary search: the sweep writes timeouts after their time, so ends are only nearly in order.
    for (std::uint64_t number = first(); number < end_; ++number) {
      if (end_of(*ring_[number % ring_.size()]) >= since) return number;
    }
    return end_;
  }
  // Up to `max` records from `cursor` on; waits up to `wait` for the first.  A cursor beyond the end is the end.
  Batch read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const {
    constexpr std::chrono::milliseconds kWaitMax = std::chrono::hours(1);  // keeps the clock's sum from overflowing
    std::unique_lock lock(mutex_);
    cursor = std::min(cursor, end_);
    changed_.wait_for(lock, std::min(wait, kWaitMax), [&] { return closed_ || end_ > cursor; });
    Batch batch;
    const std::uint64_t from = std::max(cursor, first());
    batch.lost = from - cursor;
    batch.next = from + std::min<std::uint64_t>(max, end_ - from);
    batch.records.reserve(static_cast<std::size_t>(batch.next - from));
    for (std::uint64_t number = from; number < batch.next; ++number)
      batch.records.push_back(ring_[number % ring_.size()]);
    return batch;
  }

 private:
  std::uint64_t first() const { return end_ - std::min<std::uint64_t>(end_, ring_.size()); }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::shared_ptr<const Record>> ring_;  // number n is at n % size
  std::uint64_t end_ = 0;                            // number of the next one
  bool closed_ = false;
};

}  // namespace cortexflow::flow
