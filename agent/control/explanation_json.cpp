// SPDX-License-Identifier: Apache-2.0
#include "agent/control/json.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

ordered_json steps_json(const std::vector<ExplainStep>& steps) {
  auto out = ordered_json::array();
  for (const auto& step : steps) out.push_back({{"what", step.what}, {"says", step.says}, {"table", step.table}});
  return out;
}

ordered_json path_json(const ExplainedPath& path) {
  auto backends = ordered_json::array();
  for (const auto& backend : path.backends) {
    backends.push_back({{"address", backend.address},
                        {"pod", backend.pod},
                        {"share", backend.share},
                        {"active", backend.active},
                        {"connect_recent_seconds", backend.connect_recent_s},
                        {"state", backend.state}});
  }
  return {{"address", path.address},         {"protocol", path.protocol},
          {"verdict", path.verdict},         {"next", path.next},
          {"steps", steps_json(path.steps)}, {"backends", std::move(backends)},
          {"differences", path.differences}};
}

}  // namespace

ordered_json to_json(const SimulatedPort& port) {
  auto backends = ordered_json::array();
  for (const auto& backend : port.backends) {
    backends.push_back({{"address", backend.address}, {"pod", backend.pod}, {"callers", backend.callers}});
  }
  return {{"address", port.address},
          {"protocol", port.protocol},
          {"port", port.port_name},
          {"algorithm", port.algorithm},
          {"verdict", port.verdict},
          {"exact", port.exact},
          {"assumes", port.assumes},
          {"refused", port.refused},
          {"breaker_refuses", port.breaker_refuses},
          {"pending_refuses", port.pending_refuses},
          {"backends", std::move(backends)}};
}

ordered_json to_json(const Explanation& explanation) {
  auto paths = ordered_json::array();
  for (const auto& path : explanation.paths) paths.push_back(path_json(path));
  return {{"caller", explanation.caller},
          {"target", explanation.target},
          {"version", explanation.version},
          {"steps", steps_json(explanation.steps)},
          {"paths", std::move(paths)}};
}

}  // namespace cortexflow::control
