// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/model/dns_lookup.h"

namespace cortexflow::flow {

// Counts of each workload.  When the table is full, the workload that was silent for longest is added to the row
// "other" and its place given to the new one. Thread-safe.
class WorkloadTable {
 public:
  static constexpr std::size_t kDefaultMax = 1024;

  struct Row {
    model::Workload workload;
    std::uint64_t cgroup_id = 0;  // 0 in the row "other"
    std::uint64_t lookups = 0;
    std::uint64_t failed = 0;  // timeouts and rcodes other than NOERROR and NXDOMAIN
    std::chrono::system_clock::time_point last_seen;
  };

  explicit WorkloadTable(std::size_t max = kDefaultMax);

  // Answers without a query count nothing: their lookup was counted, or is not this node's.
  void record(const model::DnsLookup& lookup);
  // Latest seen first; "other", if there is any, last.
  std::vector<Row> rows() const;

 private:
  Row& row_of(const model::DnsLookup& lookup);

  const std::size_t max_;
  mutable std::mutex mutex_;
  std::list<Row> rows_;  // latest seen first
  std::unordered_map<std::string, std::list<Row>::iterator> index_;
  Row other_;
};

}  // namespace cortexflow::flow
