// SPDX-License-Identifier: Apache-2.0
#include "agent/control/top_query.h"

#include "agent/control/json.h"
#include "agent/control/time_text.h"

namespace cortexflow::control {
namespace {

Result<void> check_outcomes(const Parameters& parameters) {
  const auto [begin, end] = parameters.equal_range("outcome");
  for (auto it = begin; it != end; ++it) {
    const auto outcome = parse_outcome(it->second);
    if (!outcome || counts_as_lookup(*outcome)) continue;
    return tl::make_unexpected(Error{fmt::format("outcome={}: such answers are not counted as lookups", it->second),
                                     "GET /v1/dns/lookups (cfcli dns watch) shows them"});
  }
  return {};
}

}  // namespace

const std::vector<std::string>& TopQuery::keys() {
  static const std::vector<std::string> kKeys{"name", "server", "process", "workload", "type"};
  return kKeys;
}

const std::vector<std::string>& TopQuery::columns() {
  static const std::vector<std::string> kColumns{"lookups", "share", "failed", "timeouts", "mean",
                                                 "p50",     "p99",   "max",    "key"};
  return kColumns;
}

const ParameterNames& TopQuery::parameters() {
  static const ParameterNames kNames{{"by", "sort", "since", "limit"}, LookupFilter::fields()};
  return kNames;
}

Result<TopQuery> TopQuery::parse(const Parameters& given, std::chrono::system_clock::time_point now) {
  TopQuery query;
  auto by = choice_of(given, "by", keys(), query.by);
  if (!by) return tl::make_unexpected(std::move(by.error()));
  auto sort = choice_of(given, "sort", columns(), query.sort);
  if (!sort) return tl::make_unexpected(std::move(sort.error()));
  const auto limit = count_of(given, "limit", kLimitMax, query.limit);
  if (!limit) return tl::make_unexpected(limit.error());
  if (const auto text = value_of(given, "since")) {
    const auto since = parse_since(*text, now);
    if (!since) return tl::make_unexpected(since.error());
    query.since = *since;
  }
  if (auto outcomes = check_outcomes(given); !outcomes) return tl::make_unexpected(std::move(outcomes.error()));
  auto filter = LookupFilter::parse(given);
  if (!filter) return tl::make_unexpected(std::move(filter.error()));
  query.by = std::move(*by);
  query.sort = std::move(*sort);
  query.limit = *limit;
  query.filter = std::move(*filter);
  return query;
}

bool counts_as_lookup(model::DnsOutcome outcome) {
  return outcome != model::DnsOutcome::kDuplicate && outcome != model::DnsOutcome::kLate &&
         outcome != model::DnsOutcome::kUnmatched;
}

}  // namespace cortexflow::control
