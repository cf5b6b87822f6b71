// SPDX-License-Identifier: Apache-2.0
// GET /v1/dns/top: the kept lookups added up, a row for each name, server, process, workload or type.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>

#include "agent/control/node_view.h"
#include "agent/control/top_query.h"

namespace cortexflow::control {

// Reads each kept lookup once, in short batches, so that the writer never waits long; needs memory in proportion to the
// log's size, whatever the traffic.  Latencies are of first answers, quantiles by nearest rank; null without an answer.
[[nodiscard]] nlohmann::ordered_json dns_top(const NodeView& node, const TopQuery& query,
                                             std::chrono::system_clock::time_point now);

}  // namespace cortexflow::control
