// SPDX-License-Identifier: Apache-2.0
#include "agent/control/lookup_filter.h"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>

#include "agent/control/json.h"
#include "agent/control/time_text.h"
#include "agent/model/address_port.h"
#include "agent/protocol/dns/names.h"

namespace cortexflow::control {
namespace {

using model::DnsLookup;

}  // namespace

bool failed(const DnsLookup& lookup) {
  constexpr std::uint16_t kNoError = 0;
  constexpr std::uint16_t kNxDomain = 3;
  if (lookup.outcome == model::DnsOutcome::kTimeout) return true;
  return lookup.has_answer && lookup.rcode != kNoError && lookup.rcode != kNxDomain;
}

const std::vector<std::string>& LookupFilter::fields() {
  static const std::vector<std::string> kFields{"name",     "type", "rcode",       "outcome", "server",
                                                "workload", "pid",  "min_latency", "failed"};
  return kFields;
}

Result<LookupFilter::Test> LookupFilter::make_test(const std::string& field, const std::string& value) {
  const auto refuse = [&](std::string_view expected) { return fail("{}={}: expected {}", field, value, expected); };
  if (value.empty()) return refuse("a value");
  if (value.find('\0') != std::string::npos) return refuse("text without NUL");
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
    if (const auto outcome = parse_outcome(value)) {
      return [outcome](const DnsLookup& l) { return l.outcome == *outcome; };
    }
    return refuse("answered, timeout, duplicate, late, unmatched, superseded or untracked");
  }
  if (field == "server") {
    const auto server = model::parse_address_port(value);
    if (!server) return refuse("ADDRESS, ADDRESS:PORT or [IPV6]:PORT; names are not resolved");
    return [server](const DnsLookup& l) {
      return l.server == server->address && (!server->port || l.server_port == *server->port);
    };
  }
  if (field == "workload") {
    return [value](const DnsLookup& l) {
      return fnmatch(value.c_str(), l.workload.name.c_str(), FNM_NOESCAPE) == 0 || l.workload.pod_uid == value ||
             (!l.workload.pod.empty() &&
              (fnmatch(value.c_str(), l.workload.pod.c_str(), FNM_NOESCAPE) == 0 ||
               fnmatch(value.c_str(), (l.workload.ns + "/" + l.workload.pod).c_str(), FNM_NOESCAPE) == 0)) ||
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
