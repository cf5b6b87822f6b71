// SPDX-License-Identifier: Apache-2.0
#include "cli/service_name.h"

#include <algorithm>

#include "cli/gather.h"
#include "cli/service_merge.h"

namespace cortexflow::cli {

using nlohmann::ordered_json;

std::string full_name(const std::string& name) {
  return name.find('/') == std::string::npos ? "default/" + name : name;
}

namespace {

// Of every agent that the command is about: services as one list, and what is not used.
Result<Services> all_services(const Context& context, std::vector<std::string>& refusals) {
  const auto agents = context.agents();
  if (!agents) return tl::make_unexpected(agents.error());
  Services out;
  std::vector<std::pair<std::string, ordered_json>> by_node;
  for (auto& [node, document] : ask_all(*agents, "/v1/services")) {
    if (!document) {
      if (agents->size() == 1) return tl::make_unexpected(document.error());
      out.complete = fail("not all nodes answered: {}: {}", node, document.error().to_string());
      continue;
    }
    for (const auto& refusal : document->at("refusals")) {
      auto words = refusal.get<std::string>();
      if (std::find(refusals.begin(), refusals.end(), words) == refusals.end()) refusals.push_back(std::move(words));
    }
    by_node.emplace_back(node, std::move(document->at("services")));
  }
  if (by_node.empty()) return tl::make_unexpected(out.complete.error());
  const bool several = !by_node.front().first.empty();
  out.document = {{"services", several ? merge_services(by_node) : std::move(by_node.front().second)}};
  return out;
}

}  // namespace

Result<Services> services_named(const Context& context, const std::string& name) {
  std::vector<std::string> refusals;
  auto all = all_services(context, refusals);
  if (!all) return all;
  auto found = ordered_json::array();
  for (const auto& service : all->document["services"]) {
    if (name.empty() || service.at("name") == full_name(name)) found.push_back(service);
  }
  if (found.empty() && !name.empty()) {
    return tl::make_unexpected(
        Error{fmt::format("there is no service {} with an address", full_name(name)), "see cfcli service list"});
  }
  if (name.empty()) {
    for (const auto& refusal : refusals) fmt::print(stderr, "not used: {}\n", printable(refusal));
  }
  all->document["services"] = std::move(found);
  return all;
}

}  // namespace cortexflow::cli
