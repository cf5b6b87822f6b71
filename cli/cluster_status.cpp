// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster_status.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "agent/model/time_text.h"
#include "cli/gather.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

std::string ago(const std::string& time) {
  const auto when = model::parse_time(time);
  if (!when) return "-";
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - *when).count();
  if (seconds < 120) return fmt::format("{}s ago", std::max<std::int64_t>(seconds, 0));
  if (seconds < 7200) return fmt::format("{}m ago", seconds / 60);
  return seconds < 172'800 ? fmt::format("{}h ago", seconds / 3600) : fmt::format("{}d ago", seconds / 86'400);
}

std::string seconds_text(const ordered_json& seconds) {
  return seconds.is_number() ? duration_text(static_cast<std::int64_t>(seconds.get<double>() * 1e9)) : "-";
}

// What the table shows of it.
ordered_json row_of(const ordered_json& node) {
  ordered_json out{{"node", node["node"]}, {"why", node["why"]}};
  const auto& status = node["status"];
  if (status.is_null()) return out;
  out["version"] = status.at("version");
  out["kernel"] = status.at("kernel");
  const auto& functions = status.at("functions");
  const auto degraded =
      std::count_if(functions.begin(), functions.end(), [](const auto& f) { return f.at("degraded") == true; });
  out["functions"] = fmt::format("{}/{}", functions.size() - static_cast<std::size_t>(degraded), functions.size());
  out["details"] = degraded_words(status);
  for (const auto& function : functions) {
    if (function.at("degraded") != true) continue;
    const auto before = out["why"].get<std::string>();
    out["why"] = before + (before.empty() ? "" : ", ") + function.at("name").get<std::string>();
  }
  if (!status.contains("configuration") || status["configuration"].is_null()) return out;
  const auto& configuration = status["configuration"];
  out["generation"] = configuration.at("generation");
  out["changed"] = ago(configuration.at("changed").get<std::string>());
  out["took"] = seconds_text(configuration.at("took_seconds"));
  out["heard"] = seconds_text(configuration.at("heard_seconds"));
  return out;
}

// Nodes of the cluster that have no agent; none where the caller may not list nodes.
std::vector<std::string> without_agent(Cluster& cluster, const std::vector<AgentPod>& agents) {
  std::vector<std::string> out;
  const auto nodes = cluster.server().list("/api/v1/nodes");
  if (!nodes) return out;
  std::set<std::string> with;
  for (const auto& agent : agents) with.insert(agent.node);
  for (const auto& node : *nodes) {
    auto name = text_at(node, "/metadata/name");
    if (!with.contains(name)) out.push_back(std::move(name));
  }
  return out;
}

}  // namespace

std::string degraded_words(const ordered_json& status) {
  std::string out;
  for (const auto& function : status.at("functions")) {
    if (function.at("degraded") != true) continue;
    out += fmt::format("{}{} ({})", out.empty() ? "" : "; ", function.at("name").get<std::string>(),
                       function.at("detail").get<std::string>());
  }
  return out;
}

Result<void> show_cluster_status(const Context& context) {
  const auto cluster = context.cluster();
  if (!cluster) return tl::make_unexpected(cluster.error());
  const auto pods = (*cluster)->agents();
  const auto agents = context.agents();
  if (!pods || !agents) return tl::make_unexpected((pods ? agents.error() : pods.error()));
  const auto answers = ask_all(*agents, "/v1/status");
  ordered_json nodes = ordered_json::array();
  std::size_t silent = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& pod = (*pods)[i];
    const auto& document = answers[i].document;
    ordered_json node{{"node", pod.node}, {"pod", pod.pod_namespace + "/" + pod.pod}, {"ready", pod.ready}};
    node["why"] = document ? pod.why : document.error().to_string();
    node["status"] = document ? *document : ordered_json(nullptr);
    if (!document && !pod.ready) node["why"] = fmt::format("{}: {}", pod.why, document.error().to_string());
    if (!document) ++silent;
    nodes.push_back(std::move(node));
  }
  for (const auto& name : without_agent(**cluster, *pods)) {
    nodes.push_back(
        {{"node", name}, {"pod", nullptr}, {"ready", false}, {"why", "no agent runs here"}, {"status", nullptr}});
  }
  if (!show_document(context, {{"nodes", nodes}})) {
    ordered_json rows = ordered_json::array();
    for (const auto& node : nodes) rows.push_back(row_of(node));
    show(context, {{"nodes", rows}},
         {"nodes",
          {{"NODE", "/node"},
           {"AGENT", "/version"},
           {"KERNEL", "/kernel"},
           {"GENERATION", "/generation"},
           {"CHANGED", "/changed"},
           {"TOOK", "/took"},
           {"SERVER HEARD", "/heard"},
           {"FUNCTIONS", "/functions"},
           {"DEGRADED, OR WHY NOT", "/why"}},
          {{"DETAILS", "/details"}},
          "/node"});
  }
  if (silent == 0) return {};
  return tl::make_unexpected(Error{fmt::format("{} of {} agents did not answer", silent, pods->size()),
                                   "the table says why; cfcli sysdump collects what can be had"});
}

}  // namespace cortexflow::cli
