// SPDX-License-Identifier: Apache-2.0
// TCP connections added up.  Latencies are from SYN to established, of those that this node's sockets opened.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/control/flow_filter.h"
#include "agent/control/latency_sample.h"
#include "agent/control/record_top.h"
#include "agent/model/flow.h"

namespace cortexflow::control {

struct FlowFigures {
  std::uint64_t connections = 0;
  std::uint64_t denied = 0;  // packets and connect() calls that policy refused, or would have
  double share = 0;          // of all connections that were counted, 0 to 1
  std::uint64_t failed = 0;  // all that no FIN has closed
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t retransmits = 0;
  LatencyFigures connect;

  // To sort by `column`, the largest first; -1 where there is none, and the same for all by "key".
  [[nodiscard]] std::int64_t rank(const std::string& column) const;
  [[nodiscard]] nlohmann::ordered_json to_json() const;
};

class FlowRow {
 public:
  using Record = model::Flow;
  using Figures = FlowFigures;

  explicit FlowRow(std::pmr::memory_resource& memory) : connects_(memory) {}

  // pair: who opened it and the other side.  A side is its workload, else its address.
  [[nodiscard]] static const std::vector<std::string>& keys();
  [[nodiscard]] static const std::vector<std::string>& columns();
  [[nodiscard]] static std::string key(const model::Flow& flow, const std::string& by);
  [[nodiscard]] static bool counts(const model::Flow&) { return true; }
  // Refuses an outcome that none has that ended.
  [[nodiscard]] static Result<void> check(const Parameters& parameters);

  void add(const model::Flow& flow);
  [[nodiscard]] std::uint64_t count() const { return sums_.connections; }
  // Once, when all are added.
  [[nodiscard]] FlowFigures figures(std::uint64_t of_all);

 private:
  FlowFigures sums_;
  LatencySample connects_;
};

}  // namespace cortexflow::control
