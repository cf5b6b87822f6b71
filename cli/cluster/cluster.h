// SPDX-License-Identifier: Apache-2.0
// A cluster: its API server, the agents in its pods, and a way to each of these that needs no open port.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/cluster/api_server.h"
#include "cli/environments.h"
#include "cli/transport.h"

namespace cortexflow::cli {

inline constexpr const char* kMeshNamespace = "cortexflow";  // where nothing else is known

// The pod of a node's agent.
struct AgentPod {
  std::string node, pod_namespace, pod, image;
  bool ready = false;
  std::string why;      // not ready, as far as the pod says
  std::string metrics;  // HOST:PORT, from within the pod
};

class Cluster {
 public:
  [[nodiscard]] static Result<std::shared_ptr<Cluster>> open(const Environment& environment);

  [[nodiscard]] ApiServer& server() { return *server_; }
  // Where the mesh is, as far as the environment says; else where it is by default.
  [[nodiscard]] std::string mesh_namespace() const {
    return mesh_namespace_.empty() ? kMeshNamespace : mesh_namespace_;
  }
  // Agents are looked for in this namespace alone from now on.
  void look_in(const std::string& mesh_namespace);
  // One a node, by the nodes' names.  Who may make pods anywhere may label them as an agent's: where such are in
  // several namespaces it is an error, as nothing says which are the mesh's.
  [[nodiscard]] Result<std::vector<AgentPod>> agents();
  [[nodiscard]] Result<AgentPod> agent_of(const std::string& node);
  // To the socket at `socket` in the pod.  `next_step`: what to do where nothing answers there.
  [[nodiscard]] std::shared_ptr<const Transport> transport(const AgentPod& agent, const std::string& socket,
                                                           std::string next_step = {}) const;

 private:
  explicit Cluster(source::ApiAccess access) : server_(std::make_shared<ApiServer>(std::move(access))) {}

  std::string mesh_namespace_;  // empty: any
  std::shared_ptr<ApiServer> server_;
  std::optional<std::vector<AgentPod>> agents_;
};

// What is at `pointer`, as text; empty where nothing is, or something else.
[[nodiscard]] std::string text_at(const Json& object, const std::string& pointer);

}  // namespace cortexflow::cli
