// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/cluster.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/source/kubernetes/kubeconfig.h"
#include "cli/cluster/pod_transport.h"

namespace cortexflow::cli {
namespace {

constexpr const char* kAgents = "app.kubernetes.io/name=cortexflow,app.kubernetes.io/component=agent";

bool is_ready(const Json& pod) {
  const auto conditions = Json::json_pointer("/status/conditions");
  if (!pod.contains(conditions)) return false;
  const auto& all = pod.at(conditions);
  return std::any_of(all.begin(), all.end(), [](const Json& one) {
    return text_at(one, "/type") == "Ready" && text_at(one, "/status") == "True";
  });
}

// Why its container does not run, as the kubelet says.
std::string why_not(const Json& pod) {
  const auto statuses = Json::json_pointer("/status/containerStatuses");
  if (pod.contains(statuses)) {
    for (const auto& one : pod.at(statuses)) {
      for (const char* state : {"/state/waiting", "/state/terminated", "/lastState/terminated"}) {
        const auto reason = text_at(one, std::string(state) + "/reason");
        if (!reason.empty()) return reason;
      }
    }
  }
  const auto phase = text_at(pod, "/status/phase");
  return phase == "Running" ? "not ready" : phase;
}

AgentPod agent_pod(const Json& pod) {
  AgentPod out{text_at(pod, "/spec/nodeName"),
               text_at(pod, "/metadata/namespace"),
               text_at(pod, "/metadata/name"),
               text_at(pod, "/spec/containers/0/image"),
               is_ready(pod),
               {},
               {}};
  if (!out.ready) out.why = why_not(pod);
  const Json::json_pointer ports("/spec/containers/0/ports");
  if (!pod.contains(ports)) return out;
  for (const auto& port : pod.at(ports)) {
    if (text_at(port, "/name") == "metrics")
      out.metrics = fmt::format("127.0.0.1:{}", port.value("containerPort", 9464));
  }
  return out;
}

}  // namespace

std::string text_at(const Json& object, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  if (!object.contains(at)) return {};
  const auto& value = object.at(at);
  return value.is_string() ? value.get<std::string>() : std::string();
}

Result<std::shared_ptr<Cluster>> Cluster::open(const Environment& environment) {
  const auto config = source::Kubeconfig::read(environment.kubeconfig.empty() ? source::Kubeconfig::default_files()
                                                                              : environment.kubeconfig);
  if (!config) return tl::make_unexpected(config.error());
  auto access = config->access(environment.context);
  if (!access) return tl::make_unexpected(access.error());
  access->user_agent = "cfcli/" CORTEXFLOW_VERSION;
  std::shared_ptr<Cluster> out(new Cluster(std::move(*access)));
  out->mesh_namespace_ = environment.mesh_namespace;
  return out;
}

void Cluster::look_in(const std::string& mesh_namespace) {
  mesh_namespace_ = mesh_namespace;
  agents_.reset();
}

Result<std::vector<AgentPod>> Cluster::agents() {
  if (agents_) return *agents_;
  const auto path_in = [](const std::string& space) { return fmt::format("/api/v1/namespaces/{}/pods", space); };
  auto pods = server_->list(mesh_namespace_.empty() ? "/api/v1/pods" : path_in(mesh_namespace_), kAgents);
  if (!pods && pods.error().status == 403 && mesh_namespace_.empty())
    pods = server_->list(path_in(kMeshNamespace), kAgents);
  if (!pods) return tl::make_unexpected(std::move(pods.error().error).wrap("cannot look for agents"));
  // Of an agent that is replaced, both are there for a while.
  std::map<std::string, AgentPod> by_node;
  std::set<std::string> spaces;
  for (const auto& pod : *pods) {
    auto agent = agent_pod(pod);
    if (agent.node.empty() || !text_at(pod, "/metadata/deletionTimestamp").empty()) continue;
    spaces.insert(agent.pod_namespace);
    auto& known = by_node[agent.node];
    if (known.pod.empty() || (agent.ready && !known.ready)) known = std::move(agent);
  }
  if (spaces.size() > 1) {
    return tl::make_unexpected(
        Error{fmt::format("pods in several namespaces call themselves agents: {}", fmt::join(spaces, ", ")),
              "say which is the mesh's: cfcli env add NAME --context CONTEXT --namespace NAMESPACE, then --env NAME; "
              "the others may want to be taken for agents"});
  }
  agents_.emplace();
  for (auto& [node, agent] : by_node) agents_->push_back(std::move(agent));
  return *agents_;
}

Result<AgentPod> Cluster::agent_of(const std::string& node) {
  const auto all = agents();
  if (!all) return tl::make_unexpected(all.error());
  if (all->empty()) {
    return tl::make_unexpected(Error{fmt::format("no agent runs in the cluster at {}", server_->address()),
                                     "cfcli install puts one on each node"});
  }
  if (node.empty() && all->size() == 1) return all->front();
  std::vector<std::string> names;
  for (const auto& one : *all) {
    if (one.node == node) return one;
    names.push_back(one.node);
  }
  const auto next = fmt::format("there are agents on: {}", fmt::join(names, ", "));
  if (node.empty()) return tl::make_unexpected(Error{"this is about one node: name it with --node", next});
  return tl::make_unexpected(Error{fmt::format("no agent runs on node {}", node), next});
}

std::shared_ptr<const Transport> Cluster::transport(const AgentPod& agent, const std::string& socket,
                                                    std::string next_step) const {
  const source::ExecTarget target{agent.pod_namespace, agent.pod, "agent", {"cfcli", "relay", socket}};
  return std::make_shared<PodTransport>(server_, agent.node, target, std::move(next_step));
}

}  // namespace cortexflow::cli
