// SPDX-License-Identifier: Apache-2.0
#include "agent/control/dns_top.h"

#include <algorithm>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/control/mapped_memory.h"
#include "agent/control/time_text.h"
#include "agent/control/top_key.h"
#include "agent/control/top_row.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;
using std::chrono::system_clock;

constexpr std::size_t kReadAtOnce = 256;
constexpr std::chrono::milliseconds kNoWait{0};

struct KeyHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
};

using Rows = std::pmr::unordered_map<std::pmr::string, TopRow, KeyHash, std::equal_to<>>;

struct Count {
  explicit Count(std::pmr::memory_resource& memory) : rows(&memory), all(memory) {}

  Rows rows;  // no more than the log has lookups
  TopRow all;
  std::uint64_t uncounted = 0;                     // further and unasked answers
  std::uint64_t overwritten = 0;                   // before the first that was read, or while reading
  std::optional<system_clock::time_point> oldest;  // end of the oldest one kept, asked for or not
};

TopRow& row_of(Rows& rows, const std::string& key, std::pmr::memory_resource& memory) {
  const auto found = rows.find(std::string_view(key));
  return found != rows.end() ? found->second : rows.try_emplace(std::pmr::string(key, &memory), memory).first->second;
}

Count count(const NodeView& node, const TopQuery& query, std::pmr::memory_resource& memory) {
  Count out(memory);
  // Where the log ends now: those who write faster than this reads must not keep it reading.
  const std::uint64_t end = node.lookups().log_end();
  for (std::uint64_t cursor = 0; cursor < end;) {
    const auto batch = node.lookups().read(cursor, std::min<std::uint64_t>(kReadAtOnce, end - cursor), kNoWait);
    out.overwritten += batch.lost;
    if (batch.records.empty()) break;
    cursor = batch.next;
    if (!out.oldest) out.oldest = end_of(*batch.records.front());
    for (const auto& lookup : batch.records) {
      if ((query.since && end_of(*lookup) < *query.since) || !query.filter.matches(*lookup)) continue;
      if (!counts_as_lookup(lookup->outcome)) {
        ++out.uncounted;
        continue;
      }
      out.all.add(*lookup);
      row_of(out.rows, top_key(*lookup, query.by), memory).add(*lookup);
    }
  }
  return out;
}

ordered_json window_json(const Count& counted, const TopQuery& query, system_clock::time_point now) {
  const bool complete = counted.overwritten == 0 || (query.since && counted.oldest && *counted.oldest < *query.since);
  const auto begin = complete && query.since ? query.since : counted.oldest;
  return {{"since", query.since ? ordered_json(time_text(*query.since)) : ordered_json(nullptr)},
          {"begin", begin ? ordered_json(time_text(*begin)) : ordered_json(nullptr)},
          {"end", time_text(now)},
          {"complete", complete},
          {"overwritten", counted.overwritten}};
}

}  // namespace

ordered_json dns_top(const NodeView& node, const TopQuery& query, system_clock::time_point now) {
  constexpr std::size_t kFirstBlock = 1 << 20;
  MappedMemory pages;
  std::pmr::monotonic_buffer_resource memory(kFirstBlock, &pages);
  Count counted = count(node, query, memory);
  std::pmr::vector<std::pair<std::string_view, TopFigures>> rows(&memory);
  rows.reserve(counted.rows.size());
  for (auto& [key, row] : counted.rows) rows.emplace_back(key, row.figures(counted.all.lookups()));
  // Ties by key, so that a screen that is drawn again does not jump.
  std::sort(rows.begin(), rows.end(), [&query](const auto& a, const auto& b) {
    const auto a_rank = a.second.rank(query.sort);
    const auto b_rank = b.second.rank(query.sort);
    return a_rank != b_rank ? a_rank > b_rank : a.first < b.first;
  });
  ordered_json shown = ordered_json::array();
  for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), query.limit); ++i) {
    ordered_json row{{"key", rows[i].first}};
    row.update(rows[i].second.to_json());
    shown.push_back(std::move(row));
  }
  ordered_json out{{"by", query.by}, {"sort", query.sort}, {"window", window_json(counted, query, now)}};
  out["total"] = counted.all.figures(counted.all.lookups()).to_json();
  out["uncounted"] = counted.uncounted;
  out["keys"] = rows.size();
  out["rows"] = std::move(shown);
  return out;
}

}  // namespace cortexflow::control
