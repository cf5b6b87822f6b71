// SPDX-License-Identifier: Apache-2.0
// A flow as a line of a table.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cortexflow::cli {

[[nodiscard]] std::string flow_header(bool wide);
[[nodiscard]] std::string flow_row(const nlohmann::ordered_json& flow, bool wide);
// Worth a colour: it did not end by a FIN.
[[nodiscard]] bool flow_is_bad(const nlohmann::ordered_json& flow);

}  // namespace cortexflow::cli
