// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>

namespace cortexflow::cli {
namespace {

// Words that can follow the command `path` ("dns watch"; empty: cfcli itself), for it and all below it.
void collect(const CLI::App& app, const std::string& path, std::map<std::string, std::string>& words) {
  std::string& line = words[path];
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) line += "--" + name + " ";
  }
  for (const auto* command : app.get_subcommands({})) {
    line += command->get_name() + " ";
    collect(*command, path.empty() ? command->get_name() : path + " " + command->get_name(), words);
  }
}

}  // namespace

std::string completion(const CLI::App& app, const std::string& shell) {
  std::map<std::string, std::string> words;
  collect(app, "", words);
  std::string cases;
  if (shell == "fish") {
    std::string out = "complete -c cfcli -f\n";
    for (const auto& [path, line] : words) {
      const auto seen = path.empty() ? std::string("__fish_use_subcommand")
                                     : fmt::format("__fish_seen_subcommand_from {}", path.substr(path.rfind(' ') + 1));
      out += fmt::format("complete -c cfcli -n '{}' -a '{}'\n", seen, line);
    }
    return out;
  }
  for (const auto& [path, line] : words) cases += fmt::format("    '{}') words='{}' ;;\n", path, line);
  const std::string bash =
      "_cfcli() {\n  local word path='' words=''\n  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in -*) ;; *) path=\"${path:+$path }$word\" ;; esac\n  done\n  case $path in\n" +
      cases +
      "  esac\n  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n}\n"
      "complete -F _cfcli cfcli\n";
  return shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" + bash : bash;
}

}  // namespace cortexflow::cli
