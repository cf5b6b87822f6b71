// SPDX-License-Identifier: Apache-2.0
#include "cli/completion_table.h"

#include <algorithm>
#include <sstream>

namespace cortexflow::cli {
namespace {

// The choices of CLI::IsMember, which puts them into the type's name: "TEXT:{a,b}".
std::vector<std::string> choices(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto open = type.find('{');
  const auto close = type.find('}');
  std::vector<std::string> out;
  if (open == std::string::npos || close == std::string::npos) return out;
  std::istringstream list(type.substr(open + 1, close - open - 1));
  for (std::string choice; std::getline(list, choice, ',');) out.push_back(choice);
  return out;
}

void add_option(const CLI::Option& option, const std::string& path, CompletionTable& table) {
  auto& words = table.words[path];
  if (option.get_positional()) {
    for (const auto& choice : choices(option)) words.push_back(choice);
  }
  for (const auto& name : option.get_lnames()) words.push_back("--" + name);
  if (option.get_items_expected_max() == 0) return;  // a flag
  for (const auto& name : option.get_lnames()) table.values[path + " --" + name] = choices(option);
  for (const auto& name : option.get_snames()) table.values[path + " -" + name] = choices(option);
}

void walk(const CLI::App& app, const std::string& path, std::vector<const CLI::Option*> inherited,
          CompletionTable& table) {
  for (const auto* option : app.get_options()) {
    if (option->get_name() != "--help" && option->get_name() != "-h,--help") inherited.push_back(option);
  }
  table.words[path];
  for (const auto* command : app.get_subcommands({})) {
    table.words[path].push_back(command->get_name());
    walk(*command, path + " " + command->get_name(), inherited, table);
    for (const auto& alias : command->get_aliases()) walk(*command, path + " " + alias, inherited, table);
  }
  for (const auto* option : inherited) add_option(*option, path, table);
  table.words[path].emplace_back("--help");
}

}  // namespace

CompletionTable completion_table(const CLI::App& app) {
  CompletionTable table;
  walk(app, app.get_name(), {}, table);
  return table;
}

}  // namespace cortexflow::cli
