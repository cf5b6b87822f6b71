// SPDX-License-Identifier: Apache-2.0
// The completion scripts, in the shells that they are for.
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/commands.h"
#include "cli/completion.h"

using namespace cortexflow::cli;

namespace {

// As readline does it: splits at : and = too, then asks the function that `complete` named.
constexpr const char* kBash = R"sh(source "$1"
line=$2
read -ra COMP_WORDS <<<"$(sed 's/[=:]\+/ & /g' <<<"$line")"
[[ $line == *[[:space:]=:] ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
function=$(complete -p cfcli | sed 's/.*-F \([^ ]*\).*/\1/')
$function cfcli "${COMP_WORDS[COMP_CWORD]}"
printf '%s\n' "${COMPREPLY[@]}")sh";

// The completion system's own words, without a terminal: compadd tells what begins as the last word does.
constexpr const char* kZsh = R"sh(compdef() { }
compset() { prefix='*=' }
_files() { print FILES }
compadd() { shift; local last=${words[CURRENT]}; [[ -n $prefix ]] && last=${last#*=}
  for one in "$@"; do [[ $one == $last* ]] && print -r -- $one; done; true }
prefix=
source "$1"
words=(${(z)2}); [[ $2 == *' ' ]] && words+=(''); CURRENT=${#words}
_cfcli)sh";

constexpr const char* kFish = "source $argv[1]; complete -C $argv[2]; true";

struct Shell {
  const char* name;
  std::string command;  // the script's file and the line follow
  const char* program;
};

const std::array<Shell, 3> kShells{
    {{"bash", "bash --norc -c", kBash}, {"zsh", "zsh -fc", kZsh}, {"fish", "fish --no-config -c", kFish}}};

std::string quoted(std::string text) {
  for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, R"sh('\'')sh");
  return "'" + text + "'";
}

class Completion {
 public:
  explicit Completion(const Shell& shell) : shell_(shell) {
    CLI::App app("", "cfcli");
    Context context;
    add_all(app, context);
    REQUIRE(mkdtemp(directory_.data()) != nullptr);
    std::ofstream(script()) << completion_script(completion_table(app), shell.name);
  }
  ~Completion() { std::filesystem::remove_all(directory_); }

  std::set<std::string> operator()(const std::string& line) const {
    const std::string first = std::string(shell_.name) == "fish" ? "" : " x";  // $0 of a -c script
    const auto command =
        shell_.command + " " + quoted(shell_.program) + first + " " + quoted(script()) + " " + quoted(line) + " 2>&1";
    FILE* const shell = popen(command.c_str(), "r");
    REQUIRE(shell != nullptr);
    std::string text;
    std::array<char, 4096> buffer{};
    while (const auto size = std::fread(buffer.data(), 1, buffer.size(), shell)) text.append(buffer.data(), size);
    INFO(shell_.name << ": " << text);
    REQUIRE(pclose(shell) == 0);
    std::set<std::string> words;
    std::istringstream in(text);
    for (std::string word; in >> word;) words.insert(word);
    return words;
  }

 private:
  std::string script() const { return directory_ + "/completion"; }

  const Shell& shell_;
  std::string directory_ = "/tmp/completion-test-XXXXXX";
};

using Words = std::set<std::string>;

}  // namespace

TEST_CASE("Completion offers what can follow, in bash, zsh and fish") {
  struct Case {
    const char* why;
    const char* line;
    Words words;
  };
  const Case kCases[] = {
      {"a command", "cfcli st", {"status"}},
      {"a command below a command", "cfcli dns w", {"watch"}},
      {"a flag of its command", "cfcli dns watch --fo", {"--follow"}},
      {"a flag of all commands", "cfcli bpf list --so", {"--socket"}},
      {"an option's value is no command", "cfcli --socket /run/x dns t", {"top"}},
      {"nor is one that is named like a command", "cfcli dns watch --name dns --fo", {"--follow"}},
      {"nor one with colons", "cfcli dns watch --server [::1]:53 --fo", {"--follow"}},
      {"nor one behind an equals sign", "cfcli --color=never dns t", {"top"}},
      {"a short option has a value too", "cfcli -o json dns t", {"top"}},
      {"the values of an option", "cfcli dns top --by ", {"name", "server", "process", "workload", "type"}},
      {"the values of a short option", "cfcli -o js", {"json"}},
      {"an option whose value is free offers nothing", "cfcli dns watch --name ", {}},
      {"an argument", "cfcli completion z", {"zsh"}},
      {"a command by its other name", "cfcli info --so", {"--socket"}},
      {"nothing that there isn't", "cfcli frob", {}},
  };
  for (const auto& shell : kShells) {
    const Completion complete(shell);
    for (const auto& c : kCases) {
      INFO(shell.name << ": " << c.why << ": " << c.line);
      CHECK(complete(c.line) == c.words);
    }
    INFO(shell.name);
    // fish replaces the whole word, the others what is behind the equals sign.
    CHECK(complete("cfcli dns top --by=se") == Words{std::string(shell.name) == "fish" ? "--by=server" : "server"});
  }
}

TEST_CASE("Completion knows every option's arity") {
  CLI::App app("", "cfcli");
  Context context;
  add_all(app, context);
  const auto table = completion_table(app);
  CHECK(table.values.contains("cfcli dns watch --name"));
  CHECK(table.values.contains("cfcli logs -n"));
  CHECK_FALSE(table.values.contains("cfcli dns watch --follow"));
  CHECK_FALSE(table.values.contains("cfcli dns watch --not"));
  CHECK_FALSE(table.values.contains("cfcli dns top --once"));
}
