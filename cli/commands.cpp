// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr int kFailed = 1;
constexpr int kUsage = 2;

// What failed earlier is known by its mark on stdout alone: then errno is 0.
Error cannot_write(int errno_value) {
  return {fmt::format("cannot write the output: {}", std::strerror(errno_value == 0 ? EIO : errno_value)),
          "is the disk full, or standard output closed?"};
}

int complain(const Error& error, int status) {
  fmt::print(stderr, "cfcli: {}\n", printable(error.to_string()));
  return status;
}

}  // namespace

bool Context::use_color() const {
  if (color == "always") return true;
  return color == "auto" && std::getenv("NO_COLOR") == nullptr && isatty(STDOUT_FILENO) == 1;
}

bool show_document(const Context& context, const ordered_json& document) {
  if (context.output == "json") {
    fmt::print("{}\n", json(document, 2));
  } else if (context.output == "yaml") {
    fmt::print("{}", yaml(document));
  } else {
    return false;
  }
  return true;
}

void show(const Context& context, const ordered_json& document, const Shown& shown) {
  if (show_document(context, document)) return;
  const auto& rows = document.at(shown.key);
  if (context.output == "name") {
    for (const auto& row : rows) fmt::print("{}\n", cell(row, shown.name));
    return;
  }
  auto columns = shown.columns;
  if (context.output == "wide") columns.insert(columns.end(), shown.wide_columns.begin(), shown.wide_columns.end());
  fmt::print("{}", table(rows, columns));
}

void add_all(CLI::App& app, Context& context) {
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", context.socket,
                 fmt::format("the agent's control socket, in place of --env: {}", kAgentSocket))
      ->envname("CORTEXFLOW_CONTROL_SOCKET");
  app.add_option("--env", context.env, "the machine or cluster, of env list (that of env use; without: this machine)")
      ->envname("CORTEXFLOW_ENV");
  app.add_option("--node", context.node, "of a cluster, the node whose agent is asked");
  app.add_option("-o,--output", context.output, "table, wide, json, yaml, or, for lists and dns top, name")
      ->check(CLI::IsMember({"table", "wide", "json", "yaml", "name"}));
  app.add_option("--color", context.color, "auto, always or never")->check(CLI::IsMember({"auto", "always", "never"}));
  for (const auto add : {add_env, add_install, add_relay, add_status, add_version, add_dns, add_flow, add_workload,
                         add_service, add_lb, add_explain, add_policy, add_identity, add_cert, add_monitoring, add_bpf,
                         add_logs, add_sysdump, add_completion}) {
    add(app, context);
  }
}

void add_dns(CLI::App& app, Context& context) {
  auto* dns = app.add_subcommand("dns", "DNS lookups of this machine")->require_subcommand(1);
  add_dns_watch(*dns, context);
  add_dns_top(*dns, context);
}

namespace {

bool takes_value(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const auto* option = app->get_option_no_throw(name)) return option->get_items_expected_max() > 0;
  }
  return false;
}

// The word that stands where a command is wanted, and is none; empty: there is no such word.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) {
      if (takes_value(at, word)) ++i;
      continue;
    }
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    const auto found =
        std::find_if(commands.begin(), commands.end(), [&](const auto* one) { return one->check_name(word); });
    if (found == commands.end()) return commands.empty() ? "" : word;
    at = *found;
  }
  return "";
}

}  // namespace

int run(int argc, const char* const* argv) {
  CLI::App app("cfcli drives the CortexBrain agent.", "cfcli");
  Context context;
  add_all(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {  // a misspelt command among them
    const auto word = unknown_command(app, argc, argv);
    if (!word.empty()) return complain({fmt::format("there is no command {}", word), "see --help"}, kUsage);
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (context.output == "name" && !context.has_names) {
    return complain({"-o name: this command lists nothing by name", "use table, wide, json or yaml"}, kUsage);
  }
  try {
    const auto done = context.run();
    if (!done) return complain(done.error(), kFailed);
    errno = 0;
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    return complain(cannot_write(errno), kFailed);
  } catch (const std::system_error& error) {  // fmt's, where more than a buffer was printed
    return complain(cannot_write(error.code().value()), kFailed);
  } catch (const ordered_json::exception&) {
    return complain(Client::not_understood(), kFailed);
  }
}

}  // namespace cortexflow::cli
