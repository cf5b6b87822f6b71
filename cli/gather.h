// SPDX-License-Identifier: Apache-2.0
// One question to every agent that a command is about.
#pragma once

#include "cli/commands.h"

namespace cortexflow::cli {

struct NodeAnswer {
  std::string node;  // empty: the only one
  Result<nlohmann::ordered_json> document;
};

// In parallel, kAskedAtOnce at a time; in the agents' order.
inline constexpr std::size_t kAskedAtOnce = 16;
[[nodiscard]] std::vector<NodeAnswer> ask_all(const std::vector<AgentAt>& agents, const std::string& path,
                                              const Client::Parameters& parameters = {});

struct Gathered {
  // Of one agent, its answer.  Of several, the rows at `key` of all, each with its "node", and "silent": the nodes that
  // did not answer, each with "why".
  nlohmann::ordered_json document;
  bool several = false;
  Result<void> complete;  // an error where a node did not answer: the command's, once it has shown what there is
};
[[nodiscard]] Result<Gathered> gather(const Context& context, const std::string& key, const std::string& path,
                                      const Client::Parameters& parameters = {});

// Shows what was gathered, with a column for the node where there are several.
[[nodiscard]] Result<void> show_gathered(const Context& context, const Gathered& gathered, Shown shown);

}  // namespace cortexflow::cli
