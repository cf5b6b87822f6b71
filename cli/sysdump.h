// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/commands.h"
#include "cli/dump.h"

namespace cortexflow::cli {

// All that one agent says of itself, below `directory`.
void dump_agent(Dump& dump, const Client& agent, const std::string& directory);
// Its metrics, as Prometheus scrapes them.  Through `transport`, or from HOST:PORT of this machine.
[[nodiscard]] Result<std::string> metrics_text(const Transport& transport);

// What the API server says of the mesh and its nodes, and every agent.
void dump_cluster(Dump& dump, Cluster& cluster, const std::vector<AgentPod>& agents);
// This machine: kernel, mounts, the agent's configuration.
void dump_machine(Dump& dump, const Client& agent, const std::string& metrics);

}  // namespace cortexflow::cli
