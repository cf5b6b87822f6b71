// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster_status.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

void show_status(const Context& context, const ordered_json& status) {
  if (show_document(context, status)) return;
  fmt::print("Agent {} (pid {}) on {}, kernel {}, since {}\n", cell(status, "/version"), cell(status, "/pid"),
             cell(status, "/node"), cell(status, "/kernel"), cell(status, "/started"));
  fmt::print("DNS ports {}, configuration {}\n", cell(status, "/dns_ports"), cell(status, "/config_file"));
  if (status.contains("configuration") && !status["configuration"].is_null()) {
    fmt::print("generation {} since {}\n", cell(status, "/configuration/generation"),
               cell(status, "/configuration/changed"));
  }
  fmt::print("\n");
  fmt::print("{}\n", table(status.at("functions"),
                           {{"FUNCTION", "/name"}, {"HOOK", "/hook"}, {"DEGRADED", "/degraded"}, {"WHY", "/detail"}}));
  fmt::print("{}\n", table(status.at("maps"), {{"TABLE", "/name"}, {"USED", "/entries"}, {"LIMIT", "/max_entries"}}));
  fmt::print("queries {}, answers {}\nrecords emitted {}, delivered {}, lost {}\nnot parsed {}\n",
             cell(status, "/queries"), cell(status, "/answers"), cell(status, "/emitted"), cell(status, "/delivered"),
             cell(status, "/lost"), cell(status, "/parse_errors"));
  if (!status.contains("flows") || status["flows"].is_null()) return;
  fmt::print("flows emitted {}, delivered {}, lost {}\n", cell(status, "/flows/emitted"),
             cell(status, "/flows/delivered"), cell(status, "/flows/lost"));
}

}  // namespace

void add_status(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("status", "hooks, tables, what was seen and lost; of a cluster, a row for each node")
          ->alias("info");
  command->callback([&context] {
    context.run = [&context]() -> Result<void> {
      const auto agents = context.agents();
      if (!agents) return tl::make_unexpected(agents.error());
      if (!agents->front().node.empty()) return show_cluster_status(context);
      const auto status = context.client().get("/v1/status");
      if (!status) return tl::make_unexpected(status.error());
      show_status(context, *status);
      return {};
    };
  });
}

}  // namespace cortexflow::cli
