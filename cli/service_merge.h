// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cortexflow::cli {

// What several nodes say of their services, as one list: of a service port, and of its backends, live and counted
// connections are added up; what a node has that another lacks, or sees in another state, is one of its "problems".
[[nodiscard]] nlohmann::ordered_json merge_services(
    const std::vector<std::pair<std::string, nlohmann::ordered_json>>& by_node);

}  // namespace cortexflow::cli
