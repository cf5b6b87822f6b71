// SPDX-License-Identifier: Apache-2.0
// The control API's JSON.  Keys are snake_case; times are RFC 3339 UTC with nanoseconds; durations integer nanoseconds.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "agent/control/explanation.h"
#include "agent/control/node_view.h"

namespace cortexflow::control {

[[nodiscard]] std::string_view outcome_name(model::DnsOutcome outcome);
[[nodiscard]] std::optional<model::DnsOutcome> parse_outcome(std::string_view name);  // in any case

[[nodiscard]] std::string_view outcome_name(model::FlowOutcome outcome);
[[nodiscard]] std::string_view transport_name(model::FlowProtocol protocol);                // "tcp", "udp"
[[nodiscard]] std::optional<model::FlowOutcome> parse_flow_outcome(std::string_view name);  // in any case

[[nodiscard]] nlohmann::ordered_json to_json(const model::DnsLookup& lookup);
[[nodiscard]] nlohmann::ordered_json to_json(const model::Flow& flow);
[[nodiscard]] nlohmann::ordered_json to_json(const Status& status);
[[nodiscard]] nlohmann::ordered_json to_json(const BpfProgram& program);
[[nodiscard]] nlohmann::ordered_json to_json(const WorkloadRow& row);
[[nodiscard]] nlohmann::ordered_json to_json(const DropRow& row);
[[nodiscard]] nlohmann::ordered_json to_json(const VethRow& row);
[[nodiscard]] nlohmann::ordered_json to_json(const ServiceRow& row);
[[nodiscard]] nlohmann::ordered_json to_json(const SimulatedPort& port);
[[nodiscard]] nlohmann::ordered_json to_json(const Explanation& explanation);

}  // namespace cortexflow::control
