// SPDX-License-Identifier: Apache-2.0
#include "cli/gather.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "agent/base/thread.h"

namespace cortexflow::cli {

using nlohmann::ordered_json;

std::vector<NodeAnswer> ask_all(const std::vector<AgentAt>& agents, const std::string& path,
                                const Client::Parameters& parameters) {
  std::vector<NodeAnswer> out;
  out.reserve(agents.size());
  for (const auto& agent : agents) out.push_back({agent.node, ordered_json()});
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (auto i = next++; i < agents.size(); i = next++) {
      try {
        out[i].document = agents[i].client.get(path, parameters);
      } catch (const ordered_json::exception&) {
        out[i].document = tl::make_unexpected(Client::not_understood());
      }
    }
  };
  std::vector<std::thread> threads;
  while (threads.size() + 1 < std::min(kAskedAtOnce, agents.size())) {
    auto thread = start_thread(work);
    if (!thread) break;  // fewer at a time, then
    threads.push_back(std::move(*thread));
  }
  work();
  for (auto& thread : threads) thread.join();
  return out;
}

Result<Gathered> gather(const Context& context, const std::string& key, const std::string& path,
                        const Client::Parameters& parameters) {
  const auto agents = context.agents();
  if (!agents) return tl::make_unexpected(agents.error());
  auto answers = ask_all(*agents, path, parameters);
  Gathered out;
  out.several = !agents->front().node.empty();
  if (!out.several) {
    if (!answers.front().document) return tl::make_unexpected(answers.front().document.error());
    out.document = std::move(*answers.front().document);
    return out;
  }
  out.document = {{key, ordered_json::array()}, {"silent", ordered_json::array()}};
  for (auto& [node, document] : answers) {
    if (!document) {
      out.document["silent"].push_back({{"node", node}, {"why", document.error().to_string()}});
      continue;
    }
    for (auto& row : document->at(key)) {
      ordered_json whole{{"node", node}};
      if (row.is_object()) {
        whole.update(row);
      } else {
        whole["text"] = std::move(row);
      }
      out.document[key].push_back(std::move(whole));
    }
  }
  const auto& silent = out.document["silent"];
  if (silent.empty()) return out;
  std::string words;
  for (const auto& one : silent) {
    words += fmt::format("{}{}: {}", words.empty() ? "" : "; ", one["node"].get<std::string>(),
                         one["why"].get<std::string>());
  }
  out.complete = fail("{} of {} nodes did not answer: {}", silent.size(), agents->size(), words);
  return out;
}

Result<void> show_gathered(const Context& context, const Gathered& gathered, Shown shown) {
  if (gathered.several) shown.columns.insert(shown.columns.begin(), {"NODE", "/node"});
  show(context, gathered.document, shown);
  return gathered.complete;
}

}  // namespace cortexflow::cli
