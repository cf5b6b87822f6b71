// SPDX-License-Identifier: Apache-2.0
#include "cli/filter_flags.h"
#include "cli/lookup_row.h"
#include "cli/record_watch.h"

namespace cortexflow::cli {

void add_dns_watch(CLI::App& dns, Context& context) {
  auto* command = dns.add_subcommand("watch", "lookups as they end, a line each");
  add_watch(*command, context,
            {"/v1/dns/lookups", "lookup", "begin with lookups that ended since", lookup_header, lookup_row, is_bad},
            add_lookup_filters(*command));
}

}  // namespace cortexflow::cli
