// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "agent/control/flow_top.h"
#include "cli/filter_flags.h"
#include "cli/flow_row.h"
#include "cli/record_top.h"
#include "cli/record_watch.h"
#include "cli/top_table.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kListMax = 100'000;

struct ListOptions {
  std::shared_ptr<const Client::Parameters> filters;
  std::uint64_t limit = 1000;
};

Result<void> list(const Context& context, const ListOptions& options) {
  auto parameters = *options.filters;
  parameters.emplace("limit", std::to_string(options.limit));
  const auto document = context.client().get("/v1/flows/open", parameters);
  if (!document) return tl::make_unexpected(document.error());
  if (show_document(context, *document)) return {};
  const bool wide = context.output == "wide";
  const auto& flows = document->at("flows");
  fmt::print("{}\n", flow_header(wide));
  for (const auto& flow : flows) fmt::print("{}\n", flow_row(flow, wide));
  const auto matching = document->value("matching", std::uint64_t{0});
  if (matching > flows.size()) fmt::print(stderr, "{} of {} shown; --limit shows more\n", flows.size(), matching);
  if (!document->value("complete", true)) {
    fmt::print(stderr, "more than {} connections are open; the others were not looked at\n", kListMax);
  }
  return {};
}

void add_list(CLI::App& flow, Context& context) {
  auto* command = flow.add_subcommand("list", "connections that are open now, the newest first");
  command->footer("Connections that were open before the agent began are not listed.");
  const auto options = std::make_shared<ListOptions>();
  options->filters = add_flow_filters(*command);
  command->add_option("--limit", options->limit, "rows, at most")
      ->check(CLI::Range(std::uint64_t{1}, kListMax))
      ->capture_default_str();
  command->callback([&context, options] { context.run = [&context, options] { return list(context, *options); }; });
}

}  // namespace

void add_flow_watch(CLI::App& noun, Context& context, const std::string& verb) {
  auto* watch = noun.add_subcommand(verb, "connections as they end, and what policy refused, a line each");
  watch->footer(
      "A connection is told when it has ended, by each side that is on this node; one that was open before the agent\n"
      "began is not.  -> opened by this side, <- by the other.");
  add_watch(*watch, context,
            {"/v1/flows", "flow", "begin with connections that ended since", flow_header, flow_row, flow_is_bad},
            add_flow_filters(*watch));
}

void add_flow(CLI::App& app, Context& context) {
  auto* flow =
      app.add_subcommand("flow", "TCP connections of this node, and what policy refused")->require_subcommand(1);
  add_flow_watch(*flow, context, "watch");
  add_list(*flow, context);
  using control::FlowRow;
  auto* top = flow->add_subcommand("top", "connections added up, a row for each workload, pair, destination...");
  top->footer(
      "Counts the latest 16384 connections that have ended: each table says from when on.  A connection between two\n"
      "sockets of this node counts twice, once for each side.  P50, P99 and MAX are of the time to connect.");
  add_top(*top, context,
          {"/v1/flows/top", FlowRow::keys(), FlowRow::columns(), flow_top_text, check_top<control::TopQuery<FlowRow>>},
          add_flow_filters(*top));
}

}  // namespace cortexflow::cli
