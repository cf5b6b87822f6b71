// SPDX-License-Identifier: Apache-2.0
#include "agent/control/lookup_filter.h"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>

#include "agent/control/json.h"
#include "agent/protocol/dns/names.h"

namespace cortexflow::control {
namespace {

using model::DnsLookup;

bool failed(const DnsLookup& lookup) {
  constexpr std::uint16_t kNoError = 0;
  constexpr std::uint16_t kNxDomain = 3;
  if (lookup.outcome == model::DnsOutcome::kTimeout) return true;
  return lookup.has_answer && lookup.rcode != kNoError && lookup.rcode != kNxDomain;
}

std::string server_text(const DnsLookup& lookup, bool with_port) {
  auto address = lookup.server.to_string();
  if (!with_port) return address;
  return lookup.server.is_v4() ? fmt::format("{}:{}", address, lookup.server_port)
                               : fmt::format("[{}]:{}", address, lookup.server_port);
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

}  // namespace

std::optional<std::chrono::nanoseconds> parse_duration(const std::string& text) {
  static const std::map<std::string, std::int64_t> kUnits{{"ns", 1},
                                                          {"us", 1'000},
                                                          {"ms", 1'000'000},
                                                          {"s", 1'000'000'000},
                                                          {"m", 60'000'000'000},
                                                          {"h", 3'600'000'000'000}};
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  if (error != std::errc{} || number < 0 || unit == kUnits.end() || number > INT64_MAX / unit->second)
    return std::nullopt;
  return std::chrono::nanoseconds(number * unit->second);
}

const std::vector<std::string>& LookupFilter::fields() {
  static const std::vector<std::string> kFields{"name",     "type", "rcode",       "outcome", "server",
                                                "workload", "pid",  "min_latency", "failed"};
  return kFields;
}

Result<LookupFilter::Test> LookupFilter::make_test(const std::string& field, const std::string& value) {
  const auto refuse = [&](std::string_view expected) { return fail("{}={}: expected {}", field, value, expected); };
  if (value.empty()) return refuse("a value");
  if (field == "name") {
    return [value](const DnsLookup& l) {
      return fnmatch(value.c_str(), l.name.c_str(), FNM_CASEFOLD | FNM_NOESCAPE) == 0;
    };
  }
  if (field == "type") {
    const auto type = protocol::dns::parse_type(value);
    if (!type) return refuse("a record type such as A, AAAA, TXT or TYPE65");
    return [type](const DnsLookup& l) { return l.qtype == *type; };
  }
  if (field == "rcode") {
    const auto rcode = protocol::dns::parse_rcode(value);
    if (!rcode) return refuse("a response code such as NOERROR, NXDOMAIN or SERVFAIL");
    return [rcode](const DnsLookup& l) { return l.has_answer && l.rcode == *rcode; };
  }
  if (field == "outcome") {
    for (int i = 0; i <= static_cast<int>(model::DnsOutcome::kUntracked); ++i) {
      const auto outcome = static_cast<model::DnsOutcome>(i);
      if (upper(value) == upper(std::string(outcome_name(outcome)))) {
        return [outcome](const DnsLookup& l) { return l.outcome == outcome; };
      }
    }
    return refuse("answered, timeout, duplicate, late, unmatched, superseded or untracked");
  }
  if (field == "server") {
    return [value](const DnsLookup& l) { return value == server_text(l, false) || value == server_text(l, true); };
  }
  if (field == "workload") {
    return [value](const DnsLookup& l) {
      return fnmatch(value.c_str(), l.workload.name.c_str(), FNM_NOESCAPE) == 0 || l.workload.pod_uid == value ||
             (!l.workload.container_id.empty() && value.size() >= 12 && l.workload.container_id.starts_with(value));
    };
  }
  if (field == "pid") {
    std::uint32_t pid = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), pid);
    if (error != std::errc{} || end != value.data() + value.size()) return refuse("a process id");
    return [pid](const DnsLookup& l) { return l.pid == pid; };
  }
  if (field == "min_latency") {
    const auto latency = parse_duration(value);
    if (!latency) return refuse("a duration such as 500us, 10ms or 2s");
    return [latency](const DnsLookup& l) { return l.latency >= *latency; };
  }
  if (field == "failed") {
    if (value != "true" && value != "false") return refuse("true or false");
    return [want = value == "true"](const DnsLookup& l) { return failed(l) == want; };
  }
  return fail("unknown filter {}; expected one of {}", field, fmt::join(fields(), ", "));
}

Result<LookupFilter> LookupFilter::parse(const Parameters& parameters) {
  constexpr std::string_view kNot = "not.";
  LookupFilter filter;
  for (const auto& [key, value] : parameters) {
    const bool negated = key.starts_with(kNot);
    const std::string field = negated ? key.substr(kNot.size()) : key;
    if (!negated && std::find(fields().begin(), fields().end(), field) == fields().end()) continue;
    auto test = make_test(field, value);
    if (!test) return tl::make_unexpected(std::move(test.error()));
    (negated ? filter.unwanted_ : filter.wanted_[field]).push_back(std::move(*test));
  }
  return filter;
}

bool LookupFilter::matches(const DnsLookup& lookup) const {
  const auto passes = [&lookup](const Test& test) { return test(lookup); };
  if (std::any_of(unwanted_.begin(), unwanted_.end(), passes)) return false;
  return std::all_of(wanted_.begin(), wanted_.end(),
                     [&](const auto& field) { return std::any_of(field.second.begin(), field.second.end(), passes); });
}

}  // namespace cortexflow::control
