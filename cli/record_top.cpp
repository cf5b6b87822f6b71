// SPDX-License-Identifier: Apache-2.0
#include "cli/record_top.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "agent/control/record_top.h"
#include "agent/control/time_text.h"
#include "cli/filter_flags.h"
#include "cli/interrupt.h"
#include "cli/screen.h"
#include "cli/top_table.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kIntervalMin{100};

struct TopOptions {
  std::shared_ptr<const Client::Parameters> filters;
  std::string by, sort;
  std::string since;
  std::string interval = "1s";
  std::uint64_t limit = 20;
  bool once = false;
};

std::chrono::milliseconds interval_of(const std::string& text) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      control::parse_duration(text).value_or(std::chrono::nanoseconds(0)));
}

Client::Parameters parameters_of(const TopOptions& options, std::uint64_t limit) {
  auto parameters = *options.filters;
  parameters.insert({{"by", options.by}, {"sort", options.sort}, {"limit", std::to_string(limit)}});
  if (!options.since.empty()) parameters.emplace("since", options.since);
  return parameters;
}

void print_top(const Context& context, const TopShown& shown, const ordered_json& top, bool once) {
  if (context.output == "json") {
    fmt::print("{}\n", json(top, once ? 2 : -1));  // a document a line where there are many
  } else if (context.output == "yaml") {
    fmt::print("{}{}", once ? "" : "---\n", yaml(top));
  } else if (context.output == "name") {
    for (const auto& row : top.at("rows")) fmt::print("{}\n", cell(row, "/key"));
  } else {
    fmt::print("{}{}", shown.text(top), once ? "" : "\n");
  }
  std::fflush(stdout);
}

Result<void> top(const Context& context, const TopShown& shown, const TopOptions& options) {
  const bool on_screen = !options.once && context.is_table() && isatty(STDOUT_FILENO) == 1;
  if (!options.once) catch_interrupts(on_screen ? Screen::leave : nullptr);
  std::optional<Screen> screen;
  do {
    auto limit = options.limit;
    if (screen) limit = std::min<std::uint64_t>(limit, std::max(screen->rows(), kTopOtherLines + 1) - kTopOtherLines);
    const auto document = context.client().get(shown.path, parameters_of(options, limit));
    if (!document) return tl::make_unexpected(document.error());
    if (on_screen) {
      if (!screen) screen.emplace();  // only now: a first refusal stays readable where it is
      screen->draw(shown.text(*document));
    } else {
      print_top(context, shown, *document, options.once);
    }
    if (options.once || std::ferror(stdout) != 0) break;
    wait_for_interrupt(interval_of(options.interval));
  } while (!interrupted());
  return {};
}

}  // namespace

void add_top(CLI::App& command, Context& context, const TopShown& shown,
             std::shared_ptr<const Client::Parameters> filters) {
  const auto options = std::make_shared<TopOptions>();
  options->by = shown.keys.front();
  options->sort = shown.columns.front();
  command.add_option("--by", options->by, "a row for each; a process is known by its name")
      ->check(CLI::IsMember(shown.keys))
      ->capture_default_str();
  command.add_option("--sort", options->sort, "column, largest first; key: the last one, by the alphabet")
      ->check(CLI::IsMember(shown.columns))
      ->capture_default_str();
  command.add_option("--limit", options->limit, "rows, at most; on a terminal no more than fit")
      ->check(CLI::Range(std::uint64_t{1}, control::kTopLimitMax))
      ->capture_default_str();
  add_since_flag(command, options->since, "only those that ended since");
  auto* interval = command.add_option("--interval", options->interval, "from one table to the next, 100ms or more")
                       ->check(CLI::Validator(
                           [](std::string& value) {
                             return interval_of(value) >= kIntervalMin
                                        ? std::string()
                                        : printable(value) + ": expected a duration of 100ms or more, such as 2s";
                           },
                           ""))
                       ->capture_default_str();
  command.add_flag("--once", options->once, "one table, and no more")->excludes(interval);
  options->filters = std::move(filters);
  command.callback([&context, shown, options] {
    // What only the whole shows; each value by itself is good.
    const auto checked = shown.check(parameters_of(*options, options->limit));
    if (!checked) throw CLI::ValidationError("top", printable(checked.error().message));
    context.has_names = true;
    context.run = [&context, shown, options] { return top(context, shown, *options); };
  });
}

}  // namespace cortexflow::cli
