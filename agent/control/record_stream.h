// SPDX-License-Identifier: Apache-2.0
// One watcher of /v1/dns/lookups or /v1/flows: JSON objects, one a line: {"lookup":{...}} or {"flow":{...}} each,
// {"progress":{seen,shown,lost}} now and then and once a second, at the end {"summary":{seen,shown,lost}}.
#pragma once

#include <string>

#include "agent/control/json.h"
#include "agent/control/node_view.h"
#include "agent/control/record_filter.h"
#include "agent/control/time_text.h"

namespace cortexflow::control {

inline const char* record_key(const RecordView<model::DnsLookup>&) { return "lookup"; }
inline const char* record_key(const RecordView<model::Flow>&) { return "flow"; }

template <typename Record>
struct StreamOptions {
  RecordFilter<Record> filter;
  std::uint64_t cursor = 0;
  bool follow = false;
  std::uint64_t limit = 0;  // shown records after which it ends; 0: none

  static constexpr std::uint64_t kLimitMax = 1'000'000'000;

  [[nodiscard]] static const ParameterNames& parameters() {
    static const ParameterNames kNames{{"since", "follow", "limit"}, RecordFilter<Record>::fields()};
    return kNames;
  }
  // Without `since`: all that is kept, or, for a follower, from now on.
  [[nodiscard]] static Result<StreamOptions> parse(const Parameters& given, const RecordView<Record>& view,
                                                   std::chrono::system_clock::time_point now) {
    StreamOptions options;
    auto filter = RecordFilter<Record>::parse(given);
    if (!filter) return tl::make_unexpected(std::move(filter.error()));
    const auto follow = flag_of(given, "follow", false);
    if (!follow) return tl::make_unexpected(follow.error());
    const auto limit = count_of(given, "limit", kLimitMax, 0);
    if (!limit) return tl::make_unexpected(limit.error());
    options.filter = std::move(*filter);
    options.follow = *follow;
    options.limit = *limit;
    if (const auto text = value_of(given, "since")) {
      const auto since = parse_since(*text, now);
      if (!since) return tl::make_unexpected(since.error());
      options.cursor = view.cursor_since(*since);
    } else {
      options.cursor = options.follow ? view.log_end() : view.cursor_since({});
    }
    return options;
  }
};

template <typename Record>
class RecordStream {
 public:
  RecordStream(const NodeView& node, const RecordView<Record>& view, StreamOptions<Record> options)
      : node_(node), view_(view), options_(std::move(options)) {}

  // The next lines; a progress line at least each second, so that a gone reader is noticed.  Waits when it follows.
  [[nodiscard]] std::string next() {
    constexpr std::size_t kSendAtOnce = 256;
    constexpr std::chrono::milliseconds kKeepAlive{1000};
    const bool draining = node_.draining();  // before the read: what is left when it drains is still given
    auto batch = view_.read(options_.cursor, kSendAtOnce, options_.follow ? kKeepAlive : std::chrono::milliseconds(0));
    options_.cursor = batch.next;
    lost_ += batch.lost;
    std::string out;
    bool full = false;
    for (const auto& record : batch.records) {
      ++seen_;
      if (!options_.filter.matches(*record)) continue;
      ++shown_;
      out += line({{record_key(view_), to_json(*record)}});
      full = options_.limit != 0 && shown_ >= options_.limit;
      if (full) break;
    }
    done_ = full || (batch.records.empty() && (!options_.follow || draining));
    out += line({{done_ ? "summary" : "progress", {{"seen", seen_}, {"shown", shown_}, {"lost", lost_}}}});
    return out;
  }
  // The summary has been given.
  [[nodiscard]] bool done() const { return done_; }

 private:
  // Names are ASCII by construction; a comm may hold anything, and must not break the line.
  static std::string line(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }

  const NodeView& node_;
  const RecordView<Record>& view_;
  StreamOptions<Record> options_;
  std::uint64_t seen_ = 0;
  std::uint64_t shown_ = 0;
  std::uint64_t lost_ = 0;
  bool done_ = false;
};

}  // namespace cortexflow::control
