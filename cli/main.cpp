// SPDX-License-Identifier: Apache-2.0
// cfcli: commands and flags, wired to what they do.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "agent/control/lookup_filter.h"
#include "cli/client.h"
#include "cli/completion.h"
#include "cli/dns_watch.h"
#include "cli/output.h"

using namespace cortexflow;
using nlohmann::ordered_json;

namespace {

struct Common {
  std::string socket = "/run/cortexflow/agent.sock";
  std::string output = "table";
  std::string color = "auto";
};

bool use_color(const Common& common) {
  if (common.color == "always") return true;
  return common.color == "auto" && !std::getenv("NO_COLOR") && isatty(STDOUT_FILENO);
}

int complain(const Error& error) {
  fmt::print(stderr, "cfcli: {}\n", error.to_string());
  return 1;
}

// Shows `document`; as a table, the rows at `key` with `columns`.
void show(const Common& common, const ordered_json& document, const std::string& key, const cli::Columns& columns,
          const cli::Columns& wide_columns = {}) {
  if (common.output == "json") {
    fmt::print("{}\n", document.dump(2));
  } else if (common.output == "yaml") {
    fmt::print("{}", cli::yaml(document));
  } else {
    auto all = columns;
    if (common.output == "wide") all.insert(all.end(), wide_columns.begin(), wide_columns.end());
    fmt::print("{}", cli::table(document[key], all));
  }
}

void show_status(const Common& common, const ordered_json& status) {
  if (common.output == "json" || common.output == "yaml") return show(common, status, "", {});
  fmt::print("Agent {} (pid {}) on {}, kernel {}, since {}\n", cli::cell(status, "/version"), cli::cell(status, "/pid"),
             cli::cell(status, "/node"), cli::cell(status, "/kernel"), cli::cell(status, "/started"));
  fmt::print("DNS ports {}, configuration {}\n\n", cli::cell(status, "/dns_ports"), cli::cell(status, "/config_file"));
  fmt::print("{}\n",
             cli::table(status["functions"],
                        {{"FUNCTION", "/name"}, {"HOOK", "/hook"}, {"DEGRADED", "/degraded"}, {"WHY", "/detail"}}));
  fmt::print("{}\n", cli::table(status["maps"], {{"TABLE", "/name"}, {"USED", "/entries"}, {"LIMIT", "/max_entries"}}));
  fmt::print("queries {}, answers {}\nrecords emitted {}, delivered {}, lost {}\nnot parsed {}\n",
             cli::cell(status, "/queries"), cli::cell(status, "/answers"), cli::cell(status, "/emitted"),
             cli::cell(status, "/delivered"), status["lost"].dump(), status["parse_errors"].dump());
}

// Filter flags, in order: those behind --not are negated.
struct WatchFlags {
  std::vector<std::pair<std::string, std::string>> filters;
  std::string since;
  std::string limit;
  bool negate = false;
  bool follow = false;
};

void add_watch_flags(CLI::App& watch, WatchFlags& flags) {
  const auto filter = [&](const std::string& flag, const std::string& field, const std::string& help) {
    watch
        .add_option_function<std::string>(
            flag,
            [&flags, field](const std::string& value) {
              flags.filters.emplace_back((flags.negate ? "not." : "") + field, value);
            },
            help)
        ->trigger_on_parse()
        ->take_all();
  };
  filter("--name", "name", "name, with * and ?");
  filter("--type", "type", "record type: A, AAAA, TXT...");
  filter("--rcode", "rcode", "response code: NOERROR, NXDOMAIN, SERVFAIL...");
  filter("--outcome", "outcome", "answered, timeout, duplicate, late, unmatched, superseded, untracked");
  filter("--server", "server", "ADDRESS or ADDRESS:PORT");
  filter("--workload", "workload", "workload name, pod uid or container id");
  filter("--pid", "pid", "process id");
  filter("--latency-above", "min_latency", "at least this long: 500us, 10ms, 2s");
  watch
      .add_flag_callback(
          "--failed", [&flags] { flags.filters.emplace_back(flags.negate ? "not.failed" : "failed", "true"); },
          "only timeouts and rcodes other than NOERROR and NXDOMAIN")
      ->trigger_on_parse();
  watch.add_flag_callback(
           "--not", [&flags] { flags.negate = true; }, "leave out what the filters behind it match")
      ->trigger_on_parse();
  watch.add_option("--since", flags.since, "begin with lookups this old: 30s, 5m, 1h");
  watch.add_option("--limit", flags.limit, "end after so many");
  watch.add_flag("-f,--follow", flags.follow, "go on with new lookups (the default without --since)");
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("cfcli drives the CortexBrain agent.");
  Common common;
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", common.socket, "the agent's control socket")
      ->envname("CORTEXFLOW_CONTROL_SOCKET")
      ->capture_default_str();
  app.add_option("-o,--output", common.output, "table, wide, json or yaml")
      ->check(CLI::IsMember({"table", "wide", "json", "yaml"}));
  app.add_option("--color", common.color, "auto, always or never")->check(CLI::IsMember({"auto", "always", "never"}));

  auto* status = app.add_subcommand("status", "hooks, tables, what was seen and lost")->alias("info");
  auto* version = app.add_subcommand("version", "of cfcli and of the agent");
  auto* dns = app.add_subcommand("dns", "DNS lookups of this machine")->require_subcommand(1);
  auto* watch = dns->add_subcommand("watch", "lookups as they end, a line each");
  WatchFlags flags;
  add_watch_flags(*watch, flags);
  auto* workload = app.add_subcommand("workload", "who makes lookups")->require_subcommand(1);
  auto* workload_list = workload->add_subcommand("list", "workloads that made lookups");
  auto* bpf = app.add_subcommand("bpf", "programs in the kernel")->require_subcommand(1);
  auto* bpf_list = bpf->add_subcommand("list", "programs, where they are attached, what they cost");
  auto* logs = app.add_subcommand("logs", "the agent's latest log lines");
  int log_lines = 100;
  logs->add_option("-n,--lines", log_lines, "how many")->check(CLI::Range(1, 1000));
  auto* complete = app.add_subcommand("completion", "completion script for a shell");
  std::string shell;
  complete->add_option("shell", shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const cli::Client client(common.socket);
  const auto get = [&](const std::string& path, const cli::Client::Parameters& parameters, auto&& shown) {
    const auto document = client.get(path, parameters);
    if (!document) return complain(document.error());
    shown(*document);
    return 0;
  };
  if (*status) return get("/v1/status", {}, [&](const auto& json) { show_status(common, json); });
  if (*version) {
    const auto agent = client.get("/v1/version");
    const ordered_json document{{"cfcli", CORTEXFLOW_VERSION},
                                {"agent", agent ? (*agent)["version"] : ordered_json(nullptr)}};
    if (common.output == "json" || common.output == "yaml") {
      show(common, document, "", {});
    } else {
      fmt::print("cfcli {}\nagent {}\n", CORTEXFLOW_VERSION,
                 agent ? cli::cell(document, "/agent") : agent.error().to_string());
    }
    return 0;
  }
  if (*workload_list) {
    return get("/v1/workloads", {}, [&](const auto& json) {
      show(
          common, json, "workloads",
          {{"WORKLOAD", "/workload/name"}, {"LOOKUPS", "/lookups"}, {"FAILED", "/failed"}, {"LAST SEEN", "/last_seen"}},
          {{"CGROUP", "/workload/cgroup_path"}, {"POD", "/workload/pod_uid"}, {"CONTAINER", "/workload/container_id"}});
    });
  }
  if (*bpf_list) {
    return get("/v1/bpf", {}, [&](const auto& json) {
      show(common, json, "programs",
           {{"ID", "/id"}, {"PROGRAM", "/name"}, {"TYPE", "/type"}, {"ATTACHED TO", "/attached_to"}},
           {{"PIN", "/pin"},
            {"RUNS", "/run_count"},
            {"NANOSECONDS", "/run_time_ns"},
            {"INSTRUCTIONS", "/verified_instructions"}});
    });
  }
  if (*logs) {
    return get("/v1/logs", {{"lines", std::to_string(log_lines)}}, [&](const auto& json) {
      if (common.output == "json" || common.output == "yaml") return show(common, json, "", {});
      for (const auto& line : json["lines"]) fmt::print("{}", line.template get<std::string>());
    });
  }
  if (*complete) {
    fmt::print("{}", cli::completion(app, shell));
    return 0;
  }
  cli::WatchOptions options{common.output, use_color(common), {flags.filters.begin(), flags.filters.end()}};
  if (!flags.since.empty()) options.parameters.emplace("since", flags.since);
  if (!flags.limit.empty()) options.parameters.emplace("limit", flags.limit);
  options.parameters.emplace("follow", flags.follow || flags.since.empty() ? "true" : "false");
  const auto watched = cli::dns_watch(client, options);
  return watched ? 0 : complain(watched.error());
} catch (const std::exception& error) {
  // A document without the expected fields: something that is no agent answers, or one of another version.
  std::fprintf(stderr, "cfcli: unexpected answer: %s; compare cfcli version\n", error.what());
  return 1;
}
