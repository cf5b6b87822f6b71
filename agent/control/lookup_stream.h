// SPDX-License-Identifier: Apache-2.0
// One watcher of /v1/dns/lookups: JSON objects, one a line: {"lookup":{...}} each, {"progress":{seen,shown,lost}} now
// and then and once a second, at the end {"summary":{seen,shown,lost}}.
#pragma once

#include <string>

#include "agent/control/lookup_filter.h"
#include "agent/control/node_view.h"

namespace cortexflow::control {

struct StreamOptions {
  LookupFilter filter;
  std::uint64_t cursor = 0;
  bool follow = false;
  std::uint64_t limit = 0;  // shown lookups after which it ends; 0: none

  static constexpr std::uint64_t kLimitMax = 1'000'000'000;

  [[nodiscard]] static const ParameterNames& parameters();
  // Without `since`: all that is kept, or, for a follower, from now on.
  [[nodiscard]] static Result<StreamOptions> parse(const Parameters& parameters, const NodeView& node,
                                                   std::chrono::system_clock::time_point now);
};

class LookupStream {
 public:
  LookupStream(const NodeView& node, StreamOptions options) : node_(node), options_(std::move(options)) {}

  // The next lines; a progress line at least each second, so that a gone reader is noticed.  Waits when it follows.
  [[nodiscard]] std::string next();
  // The summary has been given.
  [[nodiscard]] bool done() const { return done_; }

 private:
  const NodeView& node_;
  StreamOptions options_;
  std::uint64_t seen_ = 0;
  std::uint64_t shown_ = 0;
  std::uint64_t lost_ = 0;
  bool done_ = false;
};

}  // namespace cortexflow::control
