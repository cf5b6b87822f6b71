// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <set>
#include <thread>

#include "agent/base/thread.h"
#include "cli/gather.h"
#include "cli/sysdump.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr int kLogLines = 5000;

Result<ordered_json> objects(ApiServer& server, const std::string& path, const std::string& selector = {}) {
  const auto list = server.list(path, selector);
  if (!list) return tl::make_unexpected(list.error().error);
  ordered_json items = ordered_json::array();
  for (const auto& item : *list) {
    auto text = item;
    // Who wrote which field, and the images that a node has: most of an object's size, and of no use here.
    // What kubectl applied last is all of it once more, in a text.
    const auto metadata = text.find("metadata");
    if (metadata != text.end() && metadata->is_object()) {
      metadata->erase("managedFields");
      const auto annotations = metadata->find("annotations");
      if (annotations != metadata->end() && annotations->is_object())
        annotations->erase("kubectl.kubernetes.io/last-applied-configuration");
    }
    if (text.contains("status") && text["status"].is_object()) text["status"].erase("images");
    items.push_back(ordered_json::parse(text.dump()));
  }
  return ordered_json{{"items", std::move(items)}};
}

Result<std::string> log_of(ApiServer& server, const std::string& space, const std::string& pod, const char* container,
                           const char* more = "") {
  auto log = server.text(
      fmt::format("/api/v1/namespaces/{}/pods/{}/log?container={}&timestamps=true&tailLines={}&limitBytes={}{}", space,
                  pod, container, kLogLines, Dump::kPartMax, more));
  if (!log) return tl::make_unexpected(log.error().error);
  return std::move(*log);
}

void dump_namespace(Dump& dump, ApiServer& server, const std::string& space) {
  const std::string core = "/api/v1/namespaces/" + space;
  const std::string apps = "/apis/apps/v1/namespaces/" + space;
  const std::string ours = "app.kubernetes.io/name=cortexflow";
  const std::string directory = "namespace-" + space;
  dump.collect(directory + "/pods.json", [&] { return objects(server, core + "/pods", ours); });
  dump.collect(directory + "/events.json", [&] { return objects(server, core + "/events"); });
  dump.collect(directory + "/daemonsets.json", [&] { return objects(server, apps + "/daemonsets", ours); });
  dump.collect(directory + "/deployments.json", [&] { return objects(server, apps + "/deployments", ours); });
  dump.collect(directory + "/configmaps.json", [&] { return objects(server, core + "/configmaps", ours); });
  const auto authorities = server.list(core + "/pods", ours + ",app.kubernetes.io/component=identity");
  if (!authorities) return;  // pods.json says it
  for (const auto& pod : *authorities) {
    const auto name = text_at(pod, "/metadata/name");
    dump.collect_text(fmt::format("{}/{}.log", directory, name),
                      [&] { return log_of(server, space, name, "identity"); });
  }
}

}  // namespace

void dump_cluster(Dump& dump, Cluster& cluster, const std::vector<AgentPod>& agents) {
  auto& server = cluster.server();
  dump.collect("cluster/version.json", [&]() -> Result<ordered_json> {
    const auto version = server.get("/version");
    if (!version) return tl::make_unexpected(version.error().error);
    return ordered_json::parse(version->dump());
  });
  dump.collect("cluster/nodes.json", [&] { return objects(server, "/api/v1/nodes"); });
  for (const char* kind : {"trafficpolicies", "authorizationpolicies", "denylists"}) {
    dump.collect(fmt::format("cluster/{}.json", kind),
                 [&] { return objects(server, fmt::format("/apis/cortexflow.io/v1alpha1/{}", kind)); });
  }
  std::set<std::string> spaces;
  for (const auto& agent : agents) spaces.insert(agent.pod_namespace);
  if (spaces.empty()) {
    spaces.insert(cluster.mesh_namespace());
    dump.add_text("agents", fail("no agent runs on any node: see events.json and daemonsets.json"));
  }
  for (const auto& space : spaces) dump_namespace(dump, server, space);
  for (const auto& agent : agents) {
    const auto directory = "node-" + agent.node;
    dump.collect_text(directory + "/pod.log", [&] { return log_of(server, agent.pod_namespace, agent.pod, "agent"); });
    // Of the container before, where there was one: its last words.
    if (!agent.ready)
      dump.collect_text(directory + "/pod-before.log",
                        [&] { return log_of(server, agent.pod_namespace, agent.pod, "agent", "&previous=true"); });
  }
  // The agents themselves, several at a time: these go by exec alone.
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (auto i = next++; i < agents.size(); i = next++) {
      const auto directory = "node-" + agents[i].node;
      dump_agent(dump, Client(cluster.transport(agents[i], kAgentSocket)), directory);
      dump.collect_text(directory + "/metrics.txt",
                        [&] { return metrics_text(*cluster.transport(agents[i], agents[i].metrics)); });
    }
  };
  std::vector<std::thread> threads;
  while (threads.size() + 1 < std::min(kAskedAtOnce, agents.size())) {
    auto thread = start_thread(work);
    if (!thread) break;
    threads.push_back(std::move(*thread));
  }
  work();
  for (auto& thread : threads) thread.join();
}

}  // namespace cortexflow::cli
