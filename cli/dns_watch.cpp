// SPDX-License-Identifier: Apache-2.0
#include "cli/dns_watch.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "cli/output.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

volatile sig_atomic_t interrupted = 0;  // the one thing a signal handler can tell a stream

constexpr const char* kRed = "\033[31m";
constexpr const char* kPlain = "\033[0m";

std::string result_of(const ordered_json& lookup) {
  const auto outcome = lookup.value("outcome", "");
  std::string result = lookup["rcode"].is_string() ? lookup["rcode"].get<std::string>() : "";
  if (outcome != "answered") result += (result.empty() ? "" : " ") + outcome;
  const auto transmissions = lookup.value("transmissions", 0);
  if (transmissions > 1) result += fmt::format(" x{}", transmissions);
  return result;
}

bool bad(const ordered_json& lookup) {
  const auto rcode = lookup["rcode"].is_string() ? lookup["rcode"].get<std::string>() : "";
  return lookup.value("outcome", "") != "answered" || (rcode != "NOERROR" && rcode != "NXDOMAIN");
}

std::string line_of(const ordered_json& lookup, bool wide) {
  const std::string process = fmt::format("{}({})", cell(lookup, "/comm"), cell(lookup, "/pid"));
  auto line =
      fmt::format("{:<12}  {:<22}  {:<20}  {:<6}  {:<18}  {:>9}  {:<24}  {}", lookup.value("start", "").substr(11, 12),
                  process, cell(lookup, "/workload/name").substr(0, 20), cell(lookup, "/qtype"), result_of(lookup),
                  duration_text(lookup.value("latency_ns", std::int64_t{0})),
                  fmt::format("{}:{}", cell(lookup, "/server"), cell(lookup, "/server_port")), cell(lookup, "/name"));
  if (wide) {
    std::string flags;
    for (const auto& [flag, key] : {std::pair("aa", "authoritative"), {"tc", "truncated"}, {"ad", "authenticated"}}) {
      if (lookup.value(key, false)) flags += (flags.empty() ? "" : ",") + std::string(flag);
    }
    line += fmt::format("  {} client={}:{} netns={} answers={} edns={} flags={} cgroup={}", cell(lookup, "/transport"),
                        cell(lookup, "/client"), cell(lookup, "/client_port"), cell(lookup, "/netns"),
                        cell(lookup, "/answers"), cell(lookup, "/edns_size"), flags.empty() ? "-" : flags,
                        cell(lookup, "/workload/cgroup_path"));
  }
  return line;
}

void print_lookup(const ordered_json& lookup, const WatchOptions& options) {
  if (options.output == "json") {
    fmt::print("{}\n", ordered_json{{"lookup", lookup}}.dump());
  } else if (options.output == "yaml") {
    fmt::print("---\n{}", yaml(lookup));
  } else {
    const bool red = options.color && bad(lookup);
    fmt::print("{}{}{}\n", red ? kRed : "", line_of(lookup, options.output == "wide"), red ? kPlain : "");
  }
}

void print_header(const WatchOptions& options) {
  if (options.output != "table" && options.output != "wide") return;
  fmt::print("{:<12}  {:<22}  {:<20}  {:<6}  {:<18}  {:>9}  {:<24}  {}\n", "TIME", "PROCESS", "WORKLOAD", "TYPE",
             "RESULT", "LATENCY", "SERVER", "NAME");
}

}  // namespace

Result<void> dns_watch(const Client& client, const WatchOptions& options) {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);

  // Where it is cut off before the agent's own summary, the last progress stands for it.
  ordered_json summary{{"seen", 0}, {"shown", 0}, {"lost", 0}};
  std::uint64_t shown = 0;
  bool ended = false;
  auto streamed = client.stream("/v1/dns/lookups", options.parameters, [&](const ordered_json& line) {
    if (line.is_object() && line.contains("lookup")) {
      if (shown++ == 0) print_header(options);
      print_lookup(line["lookup"], options);
      std::fflush(stdout);
    } else if (line.is_object() && line.contains("progress")) {
      summary = line["progress"];
    } else if (line.is_object() && line.contains("summary")) {
      summary = line["summary"];
      ended = true;
    }
    return !interrupted && !ended && !std::ferror(stdout);
  });
  if (!streamed && !interrupted) return streamed;
  if (!ended) {
    summary["shown"] = shown;
    summary["seen"] = std::max(summary.value("seen", std::uint64_t{0}), shown);
  }
  if (options.output == "json") {
    fmt::print("{}\n", ordered_json{{"summary", summary}}.dump());
  } else {
    fmt::print(stderr, "seen {}, shown {}, lost {}\n", cell(summary, "/seen"), cell(summary, "/shown"),
               cell(summary, "/lost"));
  }
  std::fflush(stdout);
  return {};
}

}  // namespace cortexflow::cli
