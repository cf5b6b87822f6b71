// SPDX-License-Identifier: Apache-2.0
// `watch` of lookups and of flows: a line each as they end, at last how many were seen, shown and lost.
#pragma once

#include <memory>
#include <string>

#include "cli/commands.h"

namespace cortexflow::cli {

struct Watched {
  const char* path;  // of the control API
  const char* key;   // under which a record lies in its line
  const char* since_help;
  std::string (*header)(bool wide);
  std::string (*row)(const nlohmann::ordered_json& record, bool wide);
  bool (*is_bad)(const nlohmann::ordered_json& record);
};

// Gives `command` --since, --limit and --follow, and lets it run.  `filters` are the query's other parameters.
void add_watch(CLI::App& command, Context& context, const Watched& watched,
               std::shared_ptr<const Client::Parameters> filters);

}  // namespace cortexflow::cli
