// SPDX-License-Identifier: Apache-2.0
// cfcli against a control API.
#include "agent/flow/record_log.h"
#include "cli/cluster/helm.h"
#include "cli/cluster/shown_manifests.h"
#include "cli/output.h"
#include "tests/unit/cli_run.h"
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

const std::string kHostile = "a\x1b[31m\x07\xc2\x9b\x7f\nb";
constexpr const char* kEnter = "\033[?1049h";
constexpr const char* kLeave = "\033[?1049l";

// What a hostile process, resolver and log could say, past every check of the agent.
class HostileNode : public FakeNode {
 public:
  std::vector<WorkloadRow> workloads() const override {
    std::vector<WorkloadRow> rows(1);
    rows[0].workload.name = rows[0].workload.cgroup_path = kHostile;
    return rows;
  }
  std::vector<std::string> log_lines(std::size_t) const override { return {"first\n", kHostile + "\n"}; }
};

template <typename Node>
struct Agent {
  Agent() { REQUIRE(server.start()); }
  ~Agent() {
    node.drains = true;
    server.stop();
  }
  std::vector<std::string> command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--socket", directory.socket()});
    return arguments;
  }
  CliResult run(std::vector<std::string> arguments) const { return run_cli(command(std::move(arguments))); }

  Directory directory;
  Node node;
  Server server{node, node, directory.socket(), ""};
};

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= 0x20 && c <= 0x7e); });
}

}  // namespace

TEST_CASE("Nothing that processes, names or logs hold reaches a terminal raw") {
  Agent<HostileNode> agent;
  auto lookup = answered();
  lookup.name = lookup.comm = lookup.workload.name = lookup.workload.cgroup_path = kHostile;
  agent.node.add(lookup);
  for (const std::vector<std::string>& command : {std::vector<std::string>{"dns", "watch", "--since", "1h"},
                                                  {"dns", "top", "--once"},
                                                  {"dns", "top", "--once", "--by", "process"},
                                                  {"workload", "list"},
                                                  {"logs"},
                                                  {"status"},
                                                  {"bpf", "list"}}) {
    for (const char* form : {"table", "wide", "json", "yaml"}) {
      auto arguments = command;
      arguments.insert(arguments.end(), {"-o", form});
      const auto result = agent.run(arguments);
      INFO(fmt::format("{}", fmt::join(arguments, " ")));
      CHECK(result.status == 0);
      CHECK_FALSE(result.out.empty());
      CHECK(is_printable(result.out));
      CHECK(is_printable(result.err));
    }
  }
}

TEST_CASE("logs prints a line for each, whatever is in it") {
  Agent<HostileNode> agent;
  CHECK(agent.run({"logs"}).out == "first\n" + cli::printable(kHostile) + "\n");
}

TEST_CASE("-o name lists names, where there are names") {
  Agent<FakeNode> agent;
  agent.node.add(answered());
  CHECK(agent.run({"dns", "top", "--once", "--by", "server", "-o", "name"}).out == "192.0.2.53:53\n");
  CHECK(agent.run({"workload", "list", "-o", "name"}).status == 0);
  CHECK(agent.run({"bpf", "list", "-o", "name"}).status == 0);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"status"}, {"logs"}, {"version"}, {"dns", "watch"}}) {
    auto arguments = command;
    arguments.insert(arguments.end(), {"-o", "name"});
    const auto result = agent.run(arguments);
    CHECK(result.status == 2);
    CHECK(result.err.find("-o name") != std::string::npos);
  }
}

TEST_CASE("dns top shows the counts, from when on they are, and how many rows it leaves out") {
  Agent<FakeNode> agent;
  for (int i = 0; i < 3; ++i) agent.node.add(answered());
  auto other = timed_out();
  other.name = "other.test";
  agent.node.add(other);
  const auto all = agent.run({"dns", "top", "--once"});
  CHECK(all.out.find("4 lookups, 1 failed, 1 timeouts\nall that ended since 22:13:20.135\n\n") != std::string::npos);
  CHECK(all.out.find("LOOKUPS  SHARE  FAILED  TIMEOUTS  MEAN    P50     P99     MAX     NAME\n"
                     "3        75.0%  0       0         12.0ms  12.0ms  12.0ms  12.0ms  www.example.com\n"
                     "1        25.0%  1       1         -       -       -       -       other.test\n") !=
        std::string::npos);
  const auto one = agent.run({"dns", "top", "--once", "--limit", "1", "--sort", "failed"});
  CHECK(one.out.ends_with("other.test\nand 1 more (--limit)\n"));
  CHECK(ordered_json::parse(agent.run({"dns", "top", "--once", "-o", "json"}).out)["total"]["lookups"] == 4);

  agent.node.overwrite_before(2);
  CHECK(agent.run({"dns", "top", "--once"}).out.find("the agent keeps no more, 2 before are overwritten") !=
        std::string::npos);
}

TEST_CASE("dns top takes the filters of dns watch") {
  Agent<FakeNode> agent;
  agent.node.add(answered());
  agent.node.add(with_rcode(kServFail));
  const auto count = [&agent](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"dns", "top", "--once", "-o", "json"});
    return ordered_json::parse(agent.run(flags).out)["total"]["lookups"].get<int>();
  };
  CHECK(count({}) == 2);
  CHECK(count({"--failed"}) == 1);
  CHECK(count({"--name", "www.*", "--not", "--rcode", "SERVFAIL"}) == 1);
  CHECK(count({"--name", "x", "--name", "www.*"}) == 2);
  CHECK(count({"--since", "5m"}) == 0);
  CHECK(count({"--since", "2023-11-14T22:00:00Z"}) == 2);
  const auto refused = agent.run({"dns", "top", "--once", "--name", "x", "--not"});
  CHECK(refused.status == 2);
  CHECK_THAT(refused.err, Catch::Contains("--not: expected a filter behind it"));
}

TEST_CASE("dns top on a terminal has a screen of its own, and gives it back when it is ended") {
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    Agent<FakeNode> agent;
    agent.node.add(answered());
    CliProcess top(agent.command({"dns", "top", "--interval", "100ms"}), Output::kTerminal);
    const auto begin = top.read_until("www.example.com");
    CHECK(begin.starts_with(kEnter));
    CHECK(begin.find(kLeave) == std::string::npos);
    top.send(signal_number);
    CHECK(top.wait() == 0);
    CHECK(top.text().ends_with(kLeave));
  }
}

TEST_CASE("dns top gives its screen back before it says that the agent is gone") {
  auto agent = std::make_unique<Agent<FakeNode>>();
  agent->node.add(answered());
  CliProcess top(agent->command({"dns", "top", "--interval", "100ms"}), Output::kTerminal);
  top.read_until("www.example.com");
  agent.reset();
  CHECK(top.wait() == 1);
  CHECK(top.text().ends_with(kLeave));
  CHECK(top.errors().find("no agent is running") != std::string::npos);
}

TEST_CASE("dns top gives the screen back while it is stopped") {
  Agent<FakeNode> agent;
  agent.node.add(answered());
  CliProcess top(agent.command({"dns", "top", "--interval", "100ms"}), Output::kTerminal);
  top.read_until("www.example.com");
  top.send(SIGTSTP);
  top.wait_stopped();
  CHECK(top.read_until(kLeave).ends_with(kLeave));
  const auto before = top.text().size();
  top.send(SIGCONT);
  top.read_until(std::string(kLeave) + kEnter);
  CHECK(top.text().substr(before).starts_with(kEnter));
  top.send(SIGINT);
  CHECK(top.wait() == 0);
}

TEST_CASE("dns top into a pipe is plain tables, or a JSON document a line") {
  Agent<FakeNode> agent;
  agent.node.add(answered());
  CliProcess table(agent.command({"dns", "top", "--interval", "100ms"}), Output::kPipe);
  table.read_until("www.example.com\n\n");
  table.send(SIGINT);
  CHECK(table.wait() == 0);
  CHECK(is_printable(table.text()));

  CliProcess json(agent.command({"dns", "top", "--interval", "100ms", "-o", "json"}), Output::kPipe);
  json.read_until("}\n{");
  json.send(SIGTERM);
  CHECK(json.wait() == 0);
  std::istringstream lines(json.text());
  for (std::string line; std::getline(lines, line);) CHECK(ordered_json::parse(line)["by"] == "name");
}

TEST_CASE("dns watch shows its header before the first lookup") {
  Agent<FakeNode> agent;
  CliProcess watch(agent.command({"dns", "watch"}), Output::kPipe);
  const auto text = watch.read_until("\n");
  CHECK(text.starts_with("TIME"));
  CHECK(text.find("NAME\n") != std::string::npos);
  watch.send(SIGINT);
  CHECK(watch.wait() == 0);
  CHECK(watch.errors().find("seen 0, shown 0, lost 0") != std::string::npos);
}

TEST_CASE("A script's background job, which ignores SIGINT, ends by it too; under nohup SIGHUP stays ignored") {
  Agent<FakeNode> agent;
  agent.node.add(answered());
  CliProcess top(agent.command({"dns", "top", "--interval", "100ms"}), Output::kPipe, Rights::kAll, Signals::kIgnored);
  top.read_until("www.example.com");
  top.send(SIGHUP);
  for (int i = 0; i < 3; ++i) {  // more than can have been on the way
    const auto shown = top.text().size();
    CHECK(top.read_until("www.example.com", shown).size() > shown);
  }
  top.send(SIGINT);
  CHECK(top.wait() == 0);
}

TEST_CASE("A bad value is a usage error that names its flag, before the agent is asked") {
  const std::vector<std::vector<std::string>> kCases{
      {"dns", "watch", "--server", "nonsense"},
      {"dns", "watch", "--type", "NOSUCH"},
      {"dns", "watch", "--since", "yesterday"},
      {"dns", "watch", "--latency-above", "fast"},
      {"dns", "watch", "--limit", "many"},
      {"dns", "watch", "--limit", "0"},
      {"dns", "top", "--server", "nonsense"},
      {"dns", "top", "--by", "colour"},
      {"dns", "top", "--sort", "colour"},
      {"dns", "top", "--interval", "1ms"},
      {"dns", "top", "--since", "12:00"},
      {"dns", "top", "--limit", "0"},
      {"dns", "top", "--outcome", "late"},
      {"logs", "--lines", "1001"},
      {"status", "--output", "xml"},
      {"dns", "watch", "--color", "red"},
  };
  for (const auto& arguments : kCases) {
    INFO(fmt::format("{}", fmt::join(arguments, " ")));
    const auto result = run_cli(arguments);
    CHECK(result.status == 2);
    CHECK(result.out.empty());
    const auto& flag = arguments[arguments.size() - 2];
    CHECK(result.err.find(flag.substr(2)) != std::string::npos);
  }
}

TEST_CASE("The help and openapi.json name the log's true size") {
  const auto size = std::to_string(flow::RecordLog<model::DnsLookup>::kDefaultMax);
  CHECK(run_cli({"dns", "top", "--help"}).out.find(size) != std::string::npos);
  const Serving serving;
  CHECK(get(serving.directory.socket(), "/v1/openapi.json")->body.find(size) != std::string::npos);
}

TEST_CASE("a release's objects have its name, cut where the chart cuts it") {
  const std::string long_one(53, 'a');
  CHECK(cli::chart_name("mesh") == "mesh");
  CHECK(cli::chart_name(long_one) == std::string(50, 'a'));
  CHECK(cli::chart_name(std::string(49, 'a') + "-bcd") == std::string(49, 'a'));
}

TEST_CASE("a dry run shows Secrets without their data, and all else as it is") {
  const std::string map = "---\napiVersion: v1\nkind: ConfigMap\ndata:\n  a: b\n";
  const std::string given =
      map + "---\nkind: Secret\nmetadata:\n  name: p\ndata:\n  passphrase: eHh4\n\n  b: c\ntype: Opaque\n" + map;
  const auto shown = cli::shown_manifests(given);
  CHECK(shown.find("eHh4") == std::string::npos);
  CHECK(shown.find("b: c\n") == std::string::npos);
  CHECK(shown.starts_with(map + "---\nkind: Secret\nmetadata:\n  name: p\n# data: left out"));
  CHECK(shown.ends_with("\ntype: Opaque\n" + map));
}
