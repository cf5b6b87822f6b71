// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/workload_table.h"

#include <algorithm>
#include <utility>

namespace cortexflow::flow {
namespace {

constexpr std::uint16_t kNoError = 0;
constexpr std::uint16_t kNxDomain = 3;

// The path where it is known (on cgroup v1 many workloads share one id), else the id.
std::string key_of(const model::Workload& workload, std::uint64_t cgroup_id) {
  return workload.cgroup_path.empty() ? std::to_string(cgroup_id) : workload.cgroup_path;
}

// The same without a text: what key_of() tells apart.
bool is_row_of(const WorkloadTable::Row& row, const model::DnsLookup& lookup) {
  if (row.workload.cgroup_path != lookup.workload.cgroup_path) return false;
  return !row.workload.cgroup_path.empty() || row.cgroup_id == lookup.cgroup_id;
}

bool has_failed(const model::DnsLookup& lookup) {
  if (lookup.outcome == model::DnsOutcome::kTimeout) return true;
  return lookup.has_answer && lookup.rcode != kNoError && lookup.rcode != kNxDomain;
}

}  // namespace

WorkloadTable::WorkloadTable(std::size_t max) : max_(std::max<std::size_t>(max, 1)) { other_.workload.name = "other"; }

void WorkloadTable::record(const model::DnsLookup& lookup) {
  if (lookup.transmissions == 0) return;
  const std::lock_guard lock(mutex_);
  Row& row = row_of(lookup);
  if (row.workload.pod != lookup.workload.pod || row.workload.container != lookup.workload.container) {
    row.workload = lookup.workload;  // its pod became known
  }
  ++row.lookups;
  if (has_failed(lookup)) ++row.failed;
  row.last_seen = std::max(
      row.last_seen, std::chrono::time_point_cast<std::chrono::system_clock::duration>(lookup.start + lookup.latency));
}

std::vector<WorkloadTable::Row> WorkloadTable::rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<Row> rows(rows_.begin(), rows_.end());
  if (other_.lookups != 0) rows.push_back(other_);
  return rows;
}

WorkloadTable::Row& WorkloadTable::row_of(const model::DnsLookup& lookup) {
  if (!rows_.empty() && is_row_of(rows_.front(), lookup)) return rows_.front();  // lookups come in runs
  std::string key = key_of(lookup.workload, lookup.cgroup_id);
  if (const auto found = index_.find(key); found != index_.end()) {
    rows_.splice(rows_.begin(), rows_, found->second);
    return rows_.front();
  }
  if (rows_.size() >= max_) {
    const Row& stalest = rows_.back();
    other_.lookups += stalest.lookups;
    other_.failed += stalest.failed;
    other_.last_seen = std::max(other_.last_seen, stalest.last_seen);
    index_.erase(key_of(stalest.workload, stalest.cgroup_id));
    rows_.pop_back();
  }
  Row row;
  row.workload = lookup.workload;
  row.cgroup_id = lookup.cgroup_id;
  rows_.push_front(std::move(row));
  index_.emplace(std::move(key), rows_.begin());
  return rows_.front();
}

}  // namespace cortexflow::flow
