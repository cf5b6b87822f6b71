// SPDX-License-Identifier: Apache-2.0
// The kept records read once, each, and which time they cover.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/control/record_view.h"
#include "agent/control/time_text.h"

namespace cortexflow::control {

struct RecordWindow {
  using Time = std::chrono::system_clock::time_point;

  std::optional<Time> since;      // asked for
  std::uint64_t overwritten = 0;  // before the first that was read, or while reading
  std::optional<Time> oldest;     // end of the oldest one kept, asked for or not

  [[nodiscard]] nlohmann::ordered_json to_json(Time now) const {
    using Json = nlohmann::ordered_json;
    const bool complete = overwritten == 0 || (since && oldest && *oldest < *since);
    const auto begin = complete && since ? since : oldest;
    return {{"since", since ? Json(time_text(*since)) : Json(nullptr)},
            {"begin", begin ? Json(time_text(*begin)) : Json(nullptr)},
            {"end", time_text(now)},
            {"complete", complete},
            {"overwritten", overwritten}};
  }
};

// In short batches, so that the writer never waits long.  `take` is given each record that ended since then.
template <typename Record, typename Take>
RecordWindow each_kept(const RecordView<Record>& view, const std::optional<RecordWindow::Time>& since,
                       const Take& take) {
  constexpr std::size_t kReadAtOnce = 256;
  RecordWindow window{since, 0, std::nullopt};
  // Where the log ends now: those who write faster than this reads must not keep it reading.
  const std::uint64_t end = view.log_end();
  for (std::uint64_t cursor = 0; cursor < end;) {
    const auto batch =
        view.read(cursor, std::min<std::uint64_t>(kReadAtOnce, end - cursor), std::chrono::milliseconds(0));
    window.overwritten += batch.lost;
    if (batch.records.empty()) break;
    cursor = batch.next;
    if (!window.oldest) window.oldest = end_of(*batch.records.front());
    for (const auto& record : batch.records) {
      if (!since || end_of(*record) >= *since) take(record);
    }
  }
  return window;
}

}  // namespace cortexflow::control
