// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

namespace cortexflow::cli {

void add_version(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("version", "of cfcli and of the agent");
  command->callback([&context] {
    context.run = [&context]() -> Result<void> {
      const auto agent = context.client().get("/v1/version");
      const nlohmann::ordered_json document{{"cfcli", CORTEXFLOW_VERSION},
                                            {"agent", agent ? agent->at("version") : nlohmann::ordered_json(nullptr)}};
      if (show_document(context, document)) return {};
      fmt::print("cfcli {}\nagent {}\n", CORTEXFLOW_VERSION,
                 agent ? cell(document, "/agent") : printable(agent.error().to_string()));
      return {};
    };
  });
}

}  // namespace cortexflow::cli
