// SPDX-License-Identifier: Apache-2.0
#include "agent/control/lookup_filter.h"

#include <fnmatch.h>

#include "agent/control/json.h"
#include "agent/control/time_text.h"
#include "agent/control/workload_match.h"
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

template <>
const std::vector<std::string>& LookupFilter::fields() {
  static const std::vector<std::string> kFields{"name",     "type", "rcode",       "outcome", "server",
                                                "workload", "pid",  "min_latency", "failed"};
  return kFields;
}

template <>
Result<LookupFilter::Test> LookupFilter::make_test(const std::string& field, const std::string& value) {
  const auto refuse = [&](std::string_view expected) { return fail("{}={}: expected {}", field, value, expected); };
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
    return [value](const DnsLookup& l) { return is_called(l.workload, value); };
  }
  if (field == "pid") {
    const auto pid = number_of(value);
    if (!pid) return refuse("a process id");
    return [pid](const DnsLookup& l) { return l.pid == *pid; };
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

}  // namespace cortexflow::control
