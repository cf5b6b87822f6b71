// SPDX-License-Identifier: Apache-2.0
#include "agent/control/lookup_top.h"

#include "agent/control/json.h"
#include "agent/model/address_port.h"
#include "agent/protocol/dns/names.h"

namespace cortexflow::control {
namespace {

using model::DnsLookup;
using nlohmann::ordered_json;

std::string or_unknown(const std::string& text) { return text.empty() ? "(unknown)" : text; }

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool counts_as_lookup(model::DnsOutcome outcome) {
  return outcome != model::DnsOutcome::kDuplicate && outcome != model::DnsOutcome::kLate &&
         outcome != model::DnsOutcome::kUnmatched;
}

}  // namespace

std::int64_t LookupFigures::rank(const std::string& column) const {
  if (column == "lookups" || column == "share") return static_cast<std::int64_t>(lookups);
  if (column == "failed") return static_cast<std::int64_t>(failed);
  if (column == "timeouts") return static_cast<std::int64_t>(timeouts);
  return latency.rank(column).value_or(0);
}

ordered_json LookupFigures::to_json() const {
  ordered_json out{{"lookups", lookups}, {"share", share}, {"failed", failed}, {"timeouts", timeouts}};
  out.update(latency.to_json("latency"));
  return out;
}

const std::vector<std::string>& LookupRow::keys() {
  static const std::vector<std::string> kKeys{"name", "server", "process", "workload", "type"};
  return kKeys;
}

const std::vector<std::string>& LookupRow::columns() {
  static const std::vector<std::string> kColumns{"lookups", "share", "failed", "timeouts", "mean",
                                                 "p50",     "p99",   "max",    "key"};
  return kColumns;
}

std::string LookupRow::key(const DnsLookup& lookup, const std::string& by) {
  if (by == "server") return model::address_port_text(lookup.server.to_string(), lookup.server_port);
  if (by == "process") return or_unknown(lookup.comm);
  if (by == "workload") return or_unknown(lookup.workload.name);
  if (by == "type") return std::string(protocol::dns::type_name(lookup.qtype));
  return lower(lookup.name);  // RFC 4343: case is no difference, and some resolvers make it random
}

bool LookupRow::counts(const DnsLookup& lookup) { return counts_as_lookup(lookup.outcome); }

Result<void> LookupRow::check(const Parameters& parameters) {
  const auto [begin, end] = parameters.equal_range("outcome");
  for (auto it = begin; it != end; ++it) {
    const auto outcome = parse_outcome(it->second);
    if (!outcome || counts_as_lookup(*outcome)) continue;
    return tl::make_unexpected(Error{fmt::format("outcome={}: such answers are not counted as lookups", it->second),
                                     "GET /v1/dns/lookups (cfcli dns watch) shows them"});
  }
  return {};
}

void LookupRow::add(const DnsLookup& lookup) {
  ++lookups_;
  if (failed(lookup)) ++failed_;
  if (lookup.outcome == model::DnsOutcome::kTimeout) ++timeouts_;
  if (lookup.outcome == model::DnsOutcome::kAnswered) latencies_.add(lookup.latency.count());
}

LookupFigures LookupRow::figures(std::uint64_t of_all) {
  const double share = of_all == 0 ? 0 : static_cast<double>(lookups_) / static_cast<double>(of_all);
  return {lookups_, share, failed_, timeouts_, latencies_.figures()};
}

}  // namespace cortexflow::control
