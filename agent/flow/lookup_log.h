// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/model/dns_lookup.h"

namespace cortexflow::flow {

// The latest lookups, in the order in which they ended.  A cursor is a lookup's number since the agent started. Writers
// never wait for readers: what a reader was too slow for is overwritten, and it is told how much.
// Thread-safe.
class LookupLog {
 public:
  static constexpr std::size_t kDefaultMax = 16384;  // some 500 octets each: about 8 MB

  struct Batch {
    std::vector<std::shared_ptr<const model::DnsLookup>> lookups;
    std::uint64_t next = 0;  // cursor for the next read
    std::uint64_t lost = 0;  // overwritten before this reader came to them
  };

  explicit LookupLog(std::size_t max = kDefaultMax);

  void push(std::shared_ptr<const model::DnsLookup> lookup);
  // Wakes all readers.  From now on read() returns what is left and never waits.
  void close();

  // Cursor of the first kept lookup that ended at or after `since`, or of the end.
  std::uint64_t cursor_since(std::chrono::system_clock::time_point since) const;
  // Up to `max` lookups from `cursor` on; waits up to `wait` for the first.  A cursor beyond the end is the end.
  Batch read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const;

 private:
  std::uint64_t first() const { return end_ - std::min<std::uint64_t>(end_, ring_.size()); }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::shared_ptr<const model::DnsLookup>> ring_;  // number n is at n % size
  std::uint64_t end_ = 0;                                      // number of the next one
  bool closed_ = false;
};

}  // namespace cortexflow::flow
