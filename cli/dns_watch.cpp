// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/filter_flags.h"
#include "cli/interrupt.h"
#include "cli/lookup_row.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRed = "\033[31m";
constexpr const char* kPlain = "\033[0m";

struct WatchOptions {
  std::shared_ptr<const Client::Parameters> filters;
  std::string since;
  std::uint64_t limit = 0;
  bool follow = false;
};

void print_lookup(const ordered_json& lookup, const Context& context, bool color) {
  if (context.output == "json") {
    fmt::print("{}\n", json({{"lookup", lookup}}, -1));
  } else if (context.output == "yaml") {
    fmt::print("---\n{}", yaml(lookup));
  } else {
    const bool red = color && is_bad(lookup);
    fmt::print("{}{}{}\n", red ? kRed : "", lookup_row(lookup, context.output == "wide"), red ? kPlain : "");
  }
  std::fflush(stdout);
}

void print_summary(const ordered_json& summary, const Context& context) {
  if (context.output == "json") {
    fmt::print("{}\n", json({{"summary", summary}}, -1));
    std::fflush(stdout);
  } else {
    fmt::print(stderr, "seen {}, shown {}, lost {}\n", cell(summary, "/seen"), cell(summary, "/shown"),
               cell(summary, "/lost"));
  }
}

Result<void> watch(const Context& context, const Client::Parameters& parameters) {
  catch_interrupts();
  const bool color = context.use_color();
  // Where it is cut off before the agent's own summary, the last progress stands for it.
  ordered_json summary{{"seen", 0}, {"shown", 0}, {"lost", 0}};
  std::uint64_t shown = 0;
  bool ended = false;
  const auto on_open = [&context] {
    if (!context.is_table()) return;
    fmt::print("{}\n", lookup_header(context.output == "wide"));
    std::fflush(stdout);
  };
  auto streamed = context.client().stream("/v1/dns/lookups", parameters, on_open, [&](const ordered_json& line) {
    if (line.contains("lookup")) {
      ++shown;
      print_lookup(line["lookup"], context, color);
    } else if (line.contains("progress")) {
      summary = line["progress"];
    } else if (line.contains("summary")) {
      summary = line["summary"];
      ended = true;
    }
    return !interrupted() && !ended && std::ferror(stdout) == 0;
  });
  if (!streamed && !interrupted()) return streamed;
  if (!ended) {
    summary["shown"] = shown;
    summary["seen"] = std::max(summary.value("seen", std::uint64_t{0}), shown);
  }
  print_summary(summary, context);
  return {};
}

}  // namespace

void add_dns_watch(CLI::App& dns, Context& context) {
  auto* command = dns.add_subcommand("watch", "lookups as they end, a line each");
  const auto options = std::make_shared<WatchOptions>();
  options->filters = add_filter_flags(*command);
  add_since_flag(*command, options->since, "begin with lookups that ended since");
  command->add_option("--limit", options->limit, "end after so many")->check(CLI::Range(1, 1'000'000'000));
  command->add_flag("-f,--follow", options->follow, "go on with new lookups (the default without --since)");
  command->callback([&context, options] {
    context.run = [&context, options] {
      auto parameters = *options->filters;
      if (!options->since.empty()) parameters.emplace("since", options->since);
      if (options->limit != 0) parameters.emplace("limit", std::to_string(options->limit));
      parameters.emplace("follow", options->follow || options->since.empty() ? "true" : "false");
      return watch(context, parameters);
    };
  });
}

}  // namespace cortexflow::cli
