// SPDX-License-Identifier: Apache-2.0
// `top` of lookups and of flows: added up, a row for each name, workload..., drawn again each second.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace cortexflow::cli {

struct TopShown {
  const char* path;                        // of the control API
  std::vector<std::string> keys, columns;  // to have a row for each of, and to sort by; the first is the default
  std::string (*text)(const nlohmann::ordered_json& top);
  Result<void> (*check)(const Client::Parameters& parameters);  // what only the whole shows
};

// Gives `command` --by, --sort, --limit, --since, --interval and --once, and lets it run.
void add_top(CLI::App& command, Context& context, const TopShown& shown,
             std::shared_ptr<const Client::Parameters> filters);

// What /v1/dns/top and /v1/flows/top take.
template <typename Query>
Result<void> check_top(const Client::Parameters& parameters) {
  const auto query = Query::parse(parameters, std::chrono::system_clock::now());
  if (!query) return tl::make_unexpected(query.error());
  return {};
}

}  // namespace cortexflow::cli
