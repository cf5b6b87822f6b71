// SPDX-License-Identifier: Apache-2.0
// `monitoring`: by other names, what flows, drops and interfaces say.
#include <algorithm>

#include "agent/control/flow_top.h"
#include "cli/filter_flags.h"
#include "cli/flow_row.h"
#include "cli/record_top.h"
#include "cli/record_watch.h"
#include "cli/top_table.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

// The same, with that one as the default.
std::vector<std::string> beginning_with(const std::string& first, std::vector<std::string> all) {
  const auto found = std::find(all.begin(), all.end(), first);
  std::rotate(all.begin(), found, found == all.end() ? found : found + 1);
  return all;
}

void add_latency(CLI::App& monitoring, Context& context) {
  using control::FlowRow;
  auto* command =
      monitoring.add_subcommand("latencymetrics", "time to connect, by where to; flow top --by destination --sort p99");
  add_top(*command, context,
          {"/v1/flows/top", beginning_with("destination", FlowRow::keys()), beginning_with("p99", FlowRow::columns()),
           flow_top_text, check_top<control::TopQuery<FlowRow>>},
          add_flow_filters(*command));
}

void add_drops(CLI::App& monitoring, Context& context) {
  auto* command = monitoring.add_subcommand("droppedpackets", "what the mesh refused, by where and why");
  const auto all = std::make_shared<bool>(false);
  command->add_flag("-A,--all", *all, "reasons that never came, too");
  command->footer("Who it was: cfcli flow watch --outcome denied --follow");
  command->callback([&context, all] {
    context.run = [&context, all]() -> Result<void> {
      auto document = context.client().get("/v1/drops");
      if (!document) return tl::make_unexpected(document.error());
      auto& drops = document->at("drops");
      if (!*all) {
        ordered_json kept = ordered_json::array();
        for (const auto& drop : drops) {
          if (drop.value("count", std::uint64_t{0}) != 0) kept.push_back(drop);
        }
        drops = std::move(kept);
      }
      show(context, *document, {"drops", {{"WHERE", "/where"}, {"REASON", "/reason"}, {"COUNT", "/count"}}, {}, ""});
      return {};
    };
  });
}

void add_veth(CLI::App& monitoring, Context& context) {
  auto* command = monitoring.add_subcommand("veth", "this node's veths, whom they lead to and what went over them");
  command->callback([&context] {
    context.has_names = true;
    context.run = [&context]() -> Result<void> {
      const auto document = context.client().get("/v1/veths");
      if (!document) return tl::make_unexpected(document.error());
      show(context, *document,
           {"veths",
            {{"VETH", "/name"},
             {"UP", "/up"},
             {"PEER", "/peer"},
             {"PODS", "/pods"},
             {"RECEIVED", "/received_bytes"},
             {"SENT", "/sent_bytes"},
             {"DROPPED", "/received_dropped"}},
            {{"INDEX", "/index"},
             {"MASTER", "/master"},
             {"PACKETS IN", "/received_packets"},
             {"PACKETS OUT", "/sent_packets"},
             {"DROPPED OUT", "/sent_dropped"},
             {"PROGRAMS", "/programs"}},
            "/name"});
      return {};
    };
  });
}

void add_list(CLI::App& monitoring, Context& context) {
  auto* command = monitoring.add_subcommand("list", "what is watched on this node, and by which hook");
  command->callback([&context] {
    context.has_names = true;
    context.run = [&context]() -> Result<void> {
      const auto status = context.client().get("/v1/status");
      if (!status) return tl::make_unexpected(status.error());
      show(context, ordered_json{{"functions", status->at("functions")}},
           {"functions",
            {{"FUNCTION", "/name"}, {"HOOK", "/hook"}, {"DEGRADED", "/degraded"}},
            {{"WHY", "/detail"}},
            "/name"});
      return {};
    };
  });
}

}  // namespace

void add_monitoring(CLI::App& app, Context& context) {
  auto* monitoring =
      app.add_subcommand("monitoring", "connections, latencies, drops and interfaces")->require_subcommand(1);
  add_list(*monitoring, context);
  add_flow_watch(*monitoring, context, "connections");
  add_latency(*monitoring, context);
  add_drops(*monitoring, context);
  add_veth(*monitoring, context);
}

}  // namespace cortexflow::cli
