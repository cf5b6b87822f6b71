// SPDX-License-Identifier: Apache-2.0
// The kept records added up, a row for each name, server, workload... of them: GET /v1/dns/top and /v1/flows/top.
//
// A Row says of which Record, what there can be a row for each of (keys()) and columns to sort by (columns(): numbers
// with the largest first, "key" by the alphabet); which row a record belongs to (key()) and whether it counts
// (counts()); add()s them up and makes figures() of them, which have rank() and to_json().
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/control/mapped_memory.h"
#include "agent/control/record_filter.h"
#include "agent/control/record_view.h"
#include "agent/control/record_window.h"
#include "agent/control/time_text.h"

namespace cortexflow::control {

inline constexpr std::uint64_t kTopLimitMax = 1000;

template <typename Row>
struct TopQuery {
  std::string by = Row::keys().front();
  std::string sort = Row::columns().front();
  std::optional<std::chrono::system_clock::time_point> since;
  std::uint64_t limit = 20;
  RecordFilter<typename Row::Record> filter;

  [[nodiscard]] static const ParameterNames& parameters() {
    static const ParameterNames kNames{{"by", "sort", "since", "limit"}, RecordFilter<typename Row::Record>::fields()};
    return kNames;
  }
  [[nodiscard]] static Result<TopQuery> parse(const Parameters& given, std::chrono::system_clock::time_point now) {
    TopQuery query;
    auto by = choice_of(given, "by", Row::keys(), query.by);
    if (!by) return tl::make_unexpected(std::move(by.error()));
    auto sort = choice_of(given, "sort", Row::columns(), query.sort);
    if (!sort) return tl::make_unexpected(std::move(sort.error()));
    const auto limit = count_of(given, "limit", kTopLimitMax, query.limit);
    if (!limit) return tl::make_unexpected(limit.error());
    if (const auto text = value_of(given, "since")) {
      const auto since = parse_since(*text, now);
      if (!since) return tl::make_unexpected(since.error());
      query.since = *since;
    }
    if (auto checked = Row::check(given); !checked) return tl::make_unexpected(std::move(checked.error()));
    auto filter = RecordFilter<typename Row::Record>::parse(given);
    if (!filter) return tl::make_unexpected(std::move(filter.error()));
    query.by = std::move(*by);
    query.sort = std::move(*sort);
    query.limit = *limit;
    query.filter = std::move(*filter);
    return query;
  }
};

template <typename Row>
class Top {
 public:
  explicit Top(const TopQuery<Row>& query) : query_(query) {}

  // Reads each kept record once; needs memory in proportion to the log's size, whatever the traffic.
  [[nodiscard]] nlohmann::ordered_json of(const RecordView<typename Row::Record>& view,
                                          std::chrono::system_clock::time_point now) {
    count(view);
    std::pmr::vector<std::pair<std::string_view, typename Row::Figures>> rows(&memory_);
    rows.reserve(rows_.size());
    for (auto& [key, row] : rows_) rows.emplace_back(key, row.figures(all_.count()));
    // Ties by key, so that a screen that is drawn again does not jump.
    std::sort(rows.begin(), rows.end(), [this](const auto& a, const auto& b) {
      const auto a_rank = a.second.rank(query_.sort);
      const auto b_rank = b.second.rank(query_.sort);
      return a_rank != b_rank ? a_rank > b_rank : a.first < b.first;
    });
    nlohmann::ordered_json shown = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), query_.limit); ++i) {
      nlohmann::ordered_json row{{"key", rows[i].first}};
      row.update(rows[i].second.to_json());
      shown.push_back(std::move(row));
    }
    nlohmann::ordered_json out{{"by", query_.by}, {"sort", query_.sort}, {"window", window_.to_json(now)}};
    out["total"] = all_.figures(all_.count()).to_json();
    out["uncounted"] = uncounted_;
    out["keys"] = rows.size();
    out["rows"] = std::move(shown);
    return out;
  }

 private:
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };

  Row& row_of(const std::string& key) {
    const auto found = rows_.find(std::string_view(key));
    return found != rows_.end() ? found->second
                                : rows_.try_emplace(std::pmr::string(key, &memory_), memory_).first->second;
  }

  void count(const RecordView<typename Row::Record>& view) {
    window_ = each_kept(view, query_.since, [this](const auto& record) {
      if (!query_.filter.matches(*record)) return;
      if (!Row::counts(*record)) {
        ++uncounted_;
        return;
      }
      all_.add(*record);
      row_of(Row::key(*record, query_.by)).add(*record);
    });
  }

  static constexpr std::size_t kFirstBlock = 1 << 20;

  const TopQuery<Row>& query_;
  MappedMemory pages_;
  std::pmr::monotonic_buffer_resource memory_{kFirstBlock, &pages_};
  std::pmr::unordered_map<std::pmr::string, Row, KeyHash, std::equal_to<>> rows_{&memory_};  // as many as records
  Row all_{memory_};
  std::uint64_t uncounted_ = 0;
  RecordWindow window_;
};

}  // namespace cortexflow::control
