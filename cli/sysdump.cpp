// SPDX-License-Identifier: Apache-2.0
// sysdump: what a bug report needs, in one archive.
#include "cli/sysdump.h"

#include <httplib.h>
#include <sys/utsname.h>

#include <array>
#include <ctime>
#include <deque>

#include "agent/source/manifest/file_text.h"
#include "cli/answer_body.h"
#include "cli/interrupt.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kRecords = 500;  // of the latest lookups, and flows

struct SysdumpOptions {
  std::string file, metrics = "127.0.0.1:9464";
  int timeout = 120;   // seconds
  int size_max = 100;  // MB
};

// Of a stream, what it has now.
Result<ordered_json> latest(const Client& agent, const std::string& path, const char* key) {
  std::deque<ordered_json> rows;
  const auto done = agent.stream(
      path, {{"since", "1h"}, {"follow", "false"}}, [] {},
      [&](const ordered_json& line) {
        if (line.contains(key)) rows.push_back(line[key]);
        if (rows.size() > kRecords) rows.pop_front();
        return !line.contains("summary");
      });
  if (!done) return tl::make_unexpected(done.error());
  return ordered_json{{"latest", ordered_json(std::move(rows))}};
}

std::string stamp() {
  const auto now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
  return text.data();
}

Result<std::string> file_text(const std::string& path) {
  auto text = source::read_text(path, Dump::kPartMax);
  if (!text) return tl::make_unexpected(std::move(text.error()));
  if (!*text) return fail("there is no {}", path);
  return std::move(**text);
}

// /proc has no regular sizes: read to the end.
Result<std::string> proc_text(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return fail_errno(path, errno);
  std::string out;
  std::array<char, 65536> buffer{};
  for (std::size_t got = 0;
       out.size() < Dump::kPartMax && (got = std::fread(buffer.data(), 1, buffer.size(), file)) > 0;) {
    out.append(buffer.data(), got);
  }
  std::fclose(file);
  return out;
}

Result<void> sysdump(const Context& context, const SysdumpOptions& given) {
  const auto environment = context.environment();
  if (!environment) return tl::make_unexpected(environment.error());
  const auto name = "cortexflow-sysdump-" + stamp();
  const auto file = given.file.empty() ? name + ".tar.gz" : given.file;
  catch_interrupts();  // so that what was collected goes
  auto dump = Dump::open(name, static_cast<std::size_t>(given.size_max) << 20,
                         Dump::Clock::now() + std::chrono::seconds(given.timeout));
  if (!dump) return tl::make_unexpected(dump.error());
  dump->add("cfcli.json", ordered_json{{"version", CORTEXFLOW_VERSION},
                                       {"at", stamp()},
                                       {"environment", environment->name},
                                       {"cluster", environment->is_cluster()},
                                       {"node", context.node}});
  if (environment->is_cluster()) {
    const auto cluster = context.cluster();
    if (!cluster) return tl::make_unexpected(cluster.error());
    auto agents = (*cluster)->agents();
    if (!agents) return tl::make_unexpected(agents.error());
    if (!context.node.empty()) {
      const auto one = (*cluster)->agent_of(context.node);
      if (!one) return tl::make_unexpected(one.error());
      agents = std::vector<AgentPod>{*one};
    }
    dump_cluster(*dump, **cluster, *agents);
  } else {
    dump_machine(*dump, context.client(), given.metrics);
  }
  if (interrupted()) return fail("interrupted: there is no archive");
  const auto missing = dump->missing();
  if (auto packed = dump->pack(file); !packed) return packed;
  for (const auto& one : missing) fmt::print(stderr, "missing: {}\n", printable(one));
  const ordered_json document{{"file", file}, {"parts", dump->parts()}, {"missing", missing}};
  if (!show_document(context, document)) fmt::print("{}: {} parts, {} missing\n", file, dump->parts(), missing.size());
  return {};
}

}  // namespace

void dump_agent(Dump& dump, const Client& agent, const std::string& directory) {
  // One that does not answer is asked once.
  bool answers = false;
  dump.collect(directory + "/status.json", [&] {
    auto status = agent.get("/v1/status");
    answers = status.has_value();
    return status;
  });
  if (!answers) return;
  for (const char* what : {"bpf", "workloads", "services", "drops", "veths", "denylist", "identities", "policies"}) {
    dump.collect(fmt::format("{}/{}.json", directory, what), [&] { return agent.get(fmt::format("/v1/{}", what)); });
  }
  dump.collect(directory + "/log.json", [&] { return agent.get("/v1/logs", {{"lines", "1000"}}); });
  dump.collect(directory + "/flows-open.json",
               [&] { return agent.get("/v1/flows/open", {{"limit", std::to_string(kRecords)}}); });
  dump.collect(directory + "/flows.json", [&] { return latest(agent, "/v1/flows", "flow"); });
  dump.collect(directory + "/lookups.json", [&] { return latest(agent, "/v1/dns/lookups", "lookup"); });
}

Result<std::string> metrics_text(const Transport& transport) {
  const auto connection = transport.connect();
  if (!connection) return tl::make_unexpected(connection.error());
  AnswerBody answer;
  const auto response = (*connection)->http().Get("/metrics", [&answer](const char* data, std::size_t size) {
    return answer.take(data, size);
  });
  if (answer.is_too_long()) return tl::make_unexpected(AnswerBody::too_long());
  if (!response) return tl::make_unexpected((*connection)->no_answer(response.error()));
  if (response->status != 200) return fail("status {}", response->status);
  return answer.text();
}

void dump_machine(Dump& dump, const Client& agent, const std::string& metrics) {
  dump_agent(dump, agent, "machine");
  dump.collect_text("machine/metrics.txt", [&]() -> Result<std::string> {
    httplib::Client http("http://" + metrics);
    http.set_read_timeout(10);
    AnswerBody answer;
    const auto response =
        http.Get("/metrics", [&answer](const char* data, std::size_t size) { return answer.take(data, size); });
    if (answer.is_too_long()) return tl::make_unexpected(AnswerBody::too_long());
    if (!response || response->status != 200)
      return fail("nothing answers on {}; --metrics names another address", metrics);
    return answer.text();
  });
  dump.collect_text("machine/agent.yaml", [&]() -> Result<std::string> {
    const auto status = agent.get("/v1/status");
    if (!status) return tl::make_unexpected(status.error());
    const auto path = status->at("config_file").get<std::string>();
    return path.empty() ? Result<std::string>("# the defaults\n") : file_text(path);
  });
  for (const char* file : {"/etc/os-release", "/proc/version", "/proc/mounts", "/proc/meminfo", "/proc/cmdline"}) {
    const auto name = std::string(file).substr(std::string(file).rfind('/') + 1);
    dump.collect_text("machine/" + name + ".txt", [&] { return proc_text(file); });
  }
}

void add_sysdump(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand(
      "sysdump", "what a bug report needs, of a machine or of all nodes, in an archive without secrets");
  const auto given = std::make_shared<SysdumpOptions>();
  command->add_option("--file", given->file, "the archive (else cortexflow-sysdump-TIME.tar.gz here)");
  command->add_option("--timeout", given->timeout, "seconds; what was not begun then is left out")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  command->add_option("--max-size", given->size_max, "MB before compression; what has no room is left out")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--metrics", given->metrics, "of a machine: where its agent's metrics are")
      ->capture_default_str();
  command->callback([&context, given] { context.run = [&context, given] { return sysdump(context, *given); }; });
}

}  // namespace cortexflow::cli
