// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace cortexflow::cli {

// What can follow what on a command line.  Keys are paths of commands: "cfcli", "cfcli dns", "cfcli dns watch".
struct CompletionTable {
  std::map<std::string, std::vector<std::string>> words;  // subcommands, flags and arguments at that place
  // A path and one of its options that take a value, "cfcli dns --output": the values there are; none where it is free.
  std::map<std::string, std::vector<std::string>> values;
};

// Options of a command are taken below it too.
[[nodiscard]] CompletionTable completion_table(const CLI::App& app);

}  // namespace cortexflow::cli
