// SPDX-License-Identifier: Apache-2.0
#include "cli/filter_flags.h"
#include "cli/flow_row.h"
#include "cli/record_watch.h"

namespace cortexflow::cli {

void add_flow(CLI::App& app, Context& context) {
  auto* flow = app.add_subcommand("flow", "TCP connections of this node");
  flow->require_subcommand(1);
  auto* command = flow->add_subcommand("watch", "connections as they end, a line each");
  command->footer(
      "A connection is told when it has ended, by each side that is on this node; one that was open before the agent\n"
      "began is not.  -> opened by this side, <- by the other.");
  add_watch(*command, context,
            {"/v1/flows", "flow", "begin with connections that ended since", flow_header, flow_row, flow_is_bad},
            add_flow_filters(*command));
}

}  // namespace cortexflow::cli
