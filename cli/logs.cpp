// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "cli/commands.h"

namespace cortexflow::cli {

void add_logs(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("logs", "the agent's latest log lines");
  const auto lines = std::make_shared<int>(100);
  command->add_option("-n,--lines", *lines, "how many")->check(CLI::Range(1, 1000))->capture_default_str();
  command->callback([&context, lines] {
    context.run = [&context, lines]() -> Result<void> {
      const auto log = context.client().get("/v1/logs", {{"lines", std::to_string(*lines)}});
      if (!log) return tl::make_unexpected(log.error());
      if (show_document(context, *log)) return {};
      for (const auto& line : log->at("lines")) fmt::print("{}\n", printable(line.get<std::string>()));
      return {};
    };
  });
}

}  // namespace cortexflow::cli
