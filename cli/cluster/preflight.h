// SPDX-License-Identifier: Apache-2.0
// What can be known of a cluster before anything is installed.
#pragma once

#include <string>
#include <vector>

#include "cli/cluster/cluster.h"
#include "cli/cluster/helm.h"

namespace cortexflow::cli {

enum class Finding { kGood, kWarning, kBad, kUnknown };  // kUnknown: the caller may not look

struct Check {
  std::string name;
  Finding finding = Finding::kGood;
  std::string detail;
};

// A release of the chart, known by its agents' DaemonSet.
struct Release {
  std::string name, space, chart;  // chart: "cortexflow-0.1.0"

  [[nodiscard]] std::string version() const { return chart.substr(chart.rfind('-') + 1); }
};
[[nodiscard]] ApiResult<std::vector<Release>> releases(ApiServer& server);

[[nodiscard]] ApiResult<Capabilities> capabilities_of(ApiServer& server);
[[nodiscard]] Check check_server(ApiServer& server);
// `manifests` are the chart's, rendered: whether the caller may create each kind of object in them.
[[nodiscard]] Check check_rights(ApiServer& server, const std::string& manifests, const std::string& space);
[[nodiscard]] Check check_releases(ApiServer& server);
[[nodiscard]] Check check_other_meshes(ApiServer& server);
// `manifests`: whether the agents are to take its place.
[[nodiscard]] Check check_kube_proxy(ApiServer& server, const std::string& manifests);
[[nodiscard]] Check check_nodes(ApiServer& server);

// What a kind is called in a path: "NetworkPolicy" -> "networkpolicies".
[[nodiscard]] std::string resource_of(const std::string& kind);
// "6.1.0-18-amd64" is 5.10 or newer.
[[nodiscard]] bool kernel_is_supported(const std::string& release);

}  // namespace cortexflow::cli
