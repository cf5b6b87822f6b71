// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "cli/gather.h"

namespace cortexflow::cli {

void add_logs(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("logs", "the agent's latest log lines; of a cluster, every agent's");
  const auto lines = std::make_shared<int>(100);
  command->add_option("-n,--lines", *lines, "how many")->check(CLI::Range(1, 1000))->capture_default_str();
  command->callback([&context, lines] {
    context.run = [&context, lines]() -> Result<void> {
      const auto log = gather(context, "lines", "/v1/logs", {{"lines", std::to_string(*lines)}});
      if (!log) return tl::make_unexpected(log.error());
      if (show_document(context, log->document)) return log->complete;
      for (const auto& line : log->document.at("lines")) {
        if (log->several) fmt::print("{}: ", cell(line, "/node"));
        fmt::print("{}\n", printable((log->several ? line.at("text") : line).get<std::string>()));
      }
      return log->complete;
    };
  });
}

}  // namespace cortexflow::cli
