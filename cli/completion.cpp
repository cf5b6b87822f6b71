// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>

#include <memory>
#include <string_view>

#include "cli/commands.h"

namespace cortexflow::cli {
namespace {

// Words are letters, digits, "-" and "_": nothing in them needs quoting within '...'.
template <typename Map>
std::string quoted_keys(const Map& map, std::string_view separator) {
  std::string out;
  for (const auto& [key, list] : map) out += fmt::format("{}'{}'", out.empty() ? "" : separator, key);
  return out;
}

// bash and zsh write a case alike.
std::string cases(const std::map<std::string, std::vector<std::string>>& map) {
  std::string out;
  for (const auto& [key, list] : map) {
    if (!list.empty()) out += fmt::format("      '{}') found='{}' ;;\n", key, fmt::join(list, " "));
  }
  return out;
}

std::string walk_and_find(const CompletionTable& table) {
  return "    if [[ -n $option ]]; then option=; continue; fi\n"
         "    case \"$place $word\" in\n"
         "      " +
         quoted_keys(table.values, "|") +
         ") option=$word ;;\n"
         "      " +
         quoted_keys(table.words, "|") +
         ") place=\"$place $word\" ;;\n"
         "    esac\n  done\n"
         "  if [[ -z $option && $last == --*=* ]]; then option=${last%%=*} last=${last#*=}; fi\n"
         "  if [[ -n $option ]]; then\n    case \"$place $option\" in\n" +
         cases(table.values) + "    esac\n  else\n    case $place in\n" + cases(table.words) + "    esac\n  fi\n";
}

std::string bash(const CompletionTable& table) {
  // bash splits words at : and = too; here they are put together again.
  return "_cfcli() {\n"
         "  local place=cfcli option= found= word last line=$COMP_LINE i\n"
         "  local -a whole=()\n"
         "  for ((i = 0; i <= COMP_CWORD; i++)); do\n"
         "    word=${COMP_WORDS[i]}\n"
         "    if [[ i -eq 0 || -z $line || $line == [[:space:]]* ]]; then whole+=(\"$word\")\n"
         "    else whole[${#whole[@]}-1]+=$word; fi\n"
         "    line=${line#\"${line%%[![:space:]]*}\"}\n"
         "    line=${line#\"$word\"}\n"
         "  done\n"
         "  last=${whole[${#whole[@]}-1]}\n"
         "  for word in \"${whole[@]:1:${#whole[@]}-2}\"; do\n" +
         walk_and_find(table) +
         "  COMPREPLY=()\n"
         "  if [[ $option == --socket ]]; then\n"
         "    compopt -o filenames 2>/dev/null\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"$last\")\n"
         "  elif [[ -n $found ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$found\" -- \"$last\")\n"
         "  fi\n}\n"
         "complete -F _cfcli cfcli\n";
}

std::string zsh(const CompletionTable& table) {
  return "#compdef cfcli\n_cfcli() {\n"
         "  local place=cfcli option= found= word last=${words[CURRENT]}\n"
         "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n" +
         walk_and_find(table) +
         "  if [[ ${words[CURRENT]} == --*=* ]]; then compset -P '*='; fi\n"
         "  if [[ $option == --socket ]]; then _files\n"
         "  elif [[ -n $found ]]; then compadd -- ${=found}\n"
         "  fi\n}\n"
         "if [[ ${funcstack[1]} == _cfcli ]]; then _cfcli; else compdef _cfcli cfcli; fi\n";
}

std::string fish_cases(const std::map<std::string, std::vector<std::string>>& map) {
  std::string out;
  for (const auto& [key, list] : map) {
    if (!list.empty()) out += fmt::format("      case '{}'\n        set found {}\n", key, fmt::join(list, " "));
  }
  return out;
}

std::string fish(const CompletionTable& table) {
  return "function __cfcli\n"
         "  set -l place cfcli\n  set -l option ''\n  set -l found\n  set -l before ''\n"
         "  set -l last (commandline -ct)\n"
         "  for word in (commandline -opc)[2..-1]\n"
         "    if test -n \"$option\"\n      set option ''\n      continue\n    end\n"
         "    switch \"$place $word\"\n"
         "      case " +
         quoted_keys(table.values, " ") +
         "\n        set option $word\n"
         "      case " +
         quoted_keys(table.words, " ") +
         "\n        set place \"$place $word\"\n"
         "    end\n  end\n"
         "  if test -z \"$option\"; and string match -q -- '--*=*' \"$last\"\n"
         "    set option (string split -m 1 = -- $last)[1]\n    set before \"$option=\"\n  end\n"
         "  if test \"$option\" = --socket\n"
         "    for path in (__fish_complete_path (string replace -- \"$before\" '' $last))\n"
         "      echo \"$before$path\"\n    end\n    return\n  end\n"
         "  if test -n \"$option\"\n    switch \"$place $option\"\n" +
         fish_cases(table.values) + "    end\n  else\n    switch $place\n" + fish_cases(table.words) +
         "    end\n  end\n"
         "  for word in $found\n    echo \"$before$word\"\n  end\nend\n"
         "complete -c cfcli -f -a '(__cfcli)'\n";
}

}  // namespace

std::string completion_script(const CompletionTable& table, const std::string& shell) {
  if (shell == "zsh") return zsh(table);
  return shell == "fish" ? fish(table) : bash(table);
}

void add_completion(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("completion", "completion script for a shell: source <(cfcli completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, &context, shell] {
    context.run = [&app, shell]() -> Result<void> {
      fmt::print("{}", completion_script(completion_table(app), *shell));
      return {};
    };
  });
}

}  // namespace cortexflow::cli
