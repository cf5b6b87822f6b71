// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/lookup_log.h"

#include <utility>

namespace cortexflow::flow {
namespace {

constexpr std::chrono::milliseconds kWaitMax = std::chrono::hours(1);  // keeps the clock's sum from overflowing

}  // namespace

LookupLog::LookupLog(std::size_t max) : ring_(std::max<std::size_t>(max, 1)) {}

void LookupLog::push(std::shared_ptr<const model::DnsLookup> lookup) {
  {
    const std::lock_guard lock(mutex_);
    std::swap(ring_[end_ % ring_.size()], lookup);
    ++end_;
  }
  changed_.notify_all();
  // The overwritten lookup, now in `lookup`, is freed outside of the lock.
}

void LookupLog::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

std::uint64_t LookupLog::cursor_since(std::chrono::system_clock::time_point since) const {
  const std::lock_guard lock(mutex_);
  // Not a binary search: the sweep writes timeouts after their time, so ends are only nearly in order.
  for (std::uint64_t number = first(); number < end_; ++number) {
    const model::DnsLookup& lookup = *ring_[number % ring_.size()];
    if (lookup.start + lookup.latency >= since) return number;
  }
  return end_;
}

LookupLog::Batch LookupLog::read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const {
  std::unique_lock lock(mutex_);
  cursor = std::min(cursor, end_);
  changed_.wait_for(lock, std::min(wait, kWaitMax), [&] { return closed_ || end_ > cursor; });
  Batch batch;
  const std::uint64_t from = std::max(cursor, first());
  batch.lost = from - cursor;
  batch.next = from + std::min<std::uint64_t>(max, end_ - from);
  batch.lookups.reserve(static_cast<std::size_t>(batch.next - from));
  for (std::uint64_t number = from; number < batch.next; ++number)
    batch.lookups.push_back(ring_[number % ring_.size()]);
  return batch;
}

}  // namespace cortexflow::flow
