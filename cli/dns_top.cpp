// SPDX-License-Identifier: Apache-2.0
#include "agent/control/lookup_top.h"
#include "cli/filter_flags.h"
#include "cli/record_top.h"
#include "cli/top_table.h"

namespace cortexflow::cli {
namespace {

constexpr const char* kFooter =
    "Counts what the agent keeps: its latest 16384 records, on a busy machine the last seconds only. Each table says\n"
    "from when on it counts, and how many earlier records are overwritten. Latencies are of first answers, p50 and "
    "p99\n"
    "by nearest rank. Duplicate, late and unmatched answers are no lookups of their own.";

}  // namespace

void add_dns_top(CLI::App& dns, Context& context) {
  using control::LookupRow;
  auto* command = dns.add_subcommand("top", "lookups added up, a row for each name, server, process...");
  command->footer(kFooter);
  add_top(*command, context,
          {"/v1/dns/top", LookupRow::keys(), LookupRow::columns(), lookup_top_text,
           check_top<control::TopQuery<LookupRow>>},
          add_lookup_filters(*command));
}

}  // namespace cortexflow::cli
