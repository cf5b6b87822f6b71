// SPDX-License-Identifier: Apache-2.0
#include "cli/record_watch.h"

#include <algorithm>
#include <cstdio>

#include "cli/filter_flags.h"
#include "cli/interrupt.h"

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

void print_record(const ordered_json& record, const Watched& watched, const Context& context, bool color) {
  if (context.output == "json") {
    fmt::print("{}\n", json({{watched.key, record}}, -1));
  } else if (context.output == "yaml") {
    fmt::print("---\n{}", yaml(record));
  } else {
    const bool red = color && watched.is_bad(record);
    fmt::print("{}{}{}\n", red ? kRed : "", watched.row(record, context.output == "wide"), red ? kPlain : "");
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

Result<void> watch(const Context& context, const Watched& watched, const Client::Parameters& parameters) {
  catch_interrupts();
  const bool color = context.use_color();
  // Where it is cut off before the agent's own summary, the last progress stands for it.
  ordered_json summary{{"seen", 0}, {"shown", 0}, {"lost", 0}};
  std::uint64_t shown = 0;
  bool ended = false;
  const auto on_open = [&] {
    if (!context.is_table()) return;
    fmt::print("{}\n", watched.header(context.output == "wide"));
    std::fflush(stdout);
  };
  auto streamed = context.client().stream(watched.path, parameters, on_open, [&](const ordered_json& line) {
    if (line.contains(watched.key)) {
      ++shown;
      print_record(line[watched.key], watched, context, color);
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

void add_watch(CLI::App& command, Context& context, const Watched& watched,
               std::shared_ptr<const Client::Parameters> filters) {
  const auto options = std::make_shared<WatchOptions>();
  options->filters = std::move(filters);
  add_since_flag(command, options->since, watched.since_help);
  command.add_option("--limit", options->limit, "end after so many")->check(CLI::Range(1, 1'000'000'000));
  command.add_flag("-f,--follow", options->follow, "go on with new ones (the default without --since)");
  command.callback([&context, watched, options] {
    context.run = [&context, watched, options] {
      auto parameters = *options->filters;
      if (!options->since.empty()) parameters.emplace("since", options->since);
      if (options->limit != 0) parameters.emplace("limit", std::to_string(options->limit));
      parameters.emplace("follow", options->follow || options->since.empty() ? "true" : "false");
      return watch(context, watched, parameters);
    };
  });
}

}  // namespace cortexflow::cli
