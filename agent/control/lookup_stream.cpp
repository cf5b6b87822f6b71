// SPDX-License-Identifier: Apache-2.0
#include "agent/control/lookup_stream.h"

#include "agent/control/json.h"
#include "agent/control/time_text.h"

namespace cortexflow::control {
namespace {

constexpr std::size_t kSendAtOnce = 256;
constexpr std::chrono::milliseconds kKeepAlive{1000};

// Names are ASCII by construction; a comm may hold anything, and must not break the line.
std::string line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

const ParameterNames& StreamOptions::parameters() {
  static const ParameterNames kNames{{"since", "follow", "limit"}, true};
  return kNames;
}

Result<StreamOptions> StreamOptions::parse(const Parameters& given, const NodeView& node,
                                           std::chrono::system_clock::time_point now) {
  StreamOptions options;
  auto filter = LookupFilter::parse(given);
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
    options.cursor = node.cursor_since(*since);
  } else {
    options.cursor = options.follow ? node.log_end() : node.cursor_since({});
  }
  return options;
}

std::string LookupStream::next() {
  const bool draining = node_.draining();  // before the read: what is left when it drains is still given
  auto batch =
      node_.read_lookups(options_.cursor, kSendAtOnce, options_.follow ? kKeepAlive : std::chrono::milliseconds(0));
  options_.cursor = batch.next;
  lost_ += batch.lost;
  std::string out;
  bool full = false;
  for (const auto& lookup : batch.lookups) {
    ++seen_;
    if (!options_.filter.matches(*lookup)) continue;
    ++shown_;
    out += line({{"lookup", to_json(*lookup)}});
    full = options_.limit != 0 && shown_ >= options_.limit;
    if (full) break;
  }
  done_ = full || (batch.lookups.empty() && (!options_.follow || draining));
  out += line({{done_ ? "summary" : "progress", {{"seen", seen_}, {"shown", shown_}, {"lost", lost_}}}});
  return out;
}

}  // namespace cortexflow::control
