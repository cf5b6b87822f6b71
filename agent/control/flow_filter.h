// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/control/record_filter.h"
#include "agent/model/flow.h"

namespace cortexflow::control {

// from, to (workload or address of the side that opened, and of the other), workload, namespace, address (of either),
// service (name glob or ADDRESS[:PORT]), port (that was connected to), process (glob), pid, direction, outcome, failed,
// protocol, verdict (a name, or "refused"), rule (glob), min_duration, min_connect
// What policy may have said of a flow; those of compile::verdict_name().
[[nodiscard]] const std::vector<std::string>& policy_verdict_names();

using FlowFilter = RecordFilter<model::Flow>;
template <>
const std::vector<std::string>& FlowFilter::fields();
template <>
Result<FlowFilter::Test> FlowFilter::make_test(const std::string& field, const std::string& value);

}  // namespace cortexflow::control
