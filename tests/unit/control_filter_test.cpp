// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/control/lookup_filter.h"
#include "tests/unit/control_lookups.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;
using model::DnsLookup;

TEST_CASE("A filter shows what all its fields match, by any of a field's values") {
  struct Case {
    const char* why;
    Parameters parameters;
    DnsLookup lookup;
    bool shown;
  };
  const Case kCases[] = {
      {"no filter shows everything", {}, answered(), true},
      {"a name is compared whole", {{"name", "www.example.com"}}, answered(), true},
      {"a part of a name is not the name", {{"name", "example.com"}}, answered(), false},
      {"a star takes dots too, in any case", {{"name", "*.EXAMPLE.com"}}, answered(), true},
      {"one of two names suffices", {{"name", "a"}, {"name", "www.*"}}, answered(), true},
      {"a question mark is one octet", {{"name", "ww?.example.com"}}, answered(), true},
      {"a set is one of its octets", {{"name", "[v-x]ww.example.com"}}, answered(), true},
      {"type by name, in any case", {{"type", "a"}}, answered(), true},
      {"type by number", {{"type", "28"}}, answered(), false},
      {"fields are joined by and", {{"type", "A"}, {"pid", "43"}}, answered(), false},
      {"rcode of an answer", {{"rcode", "NXDOMAIN"}}, with_rcode(kNxDomain), true},
      {"a timeout has no rcode, not even NOERROR", {{"rcode", "NOERROR"}}, timed_out(), false},
      {"outcome", {{"outcome", "timeout"}}, timed_out(), true},
      {"server without a port takes any port", {{"server", "192.0.2.53"}}, answered(), true},
      {"server with its port", {{"server", "192.0.2.53:53"}}, answered(), true},
      {"server with another port", {{"server", "192.0.2.53:5353"}}, answered(), false},
      {"an IPv6 server with its port", {{"server", "[::1]:53"}}, over_v6(), true},
      {"an IPv6 server without a port", {{"server", "::1"}}, over_v6(), true},
      {"an IPv6 server, however it is written", {{"server", "0:0::0001"}}, over_v6(), true},
      {"workload by name", {{"workload", "nginx.service"}}, answered(), true},
      {"workload by the start of its container's id", {{"workload", "0123456789ab"}}, answered(), true},
      {"workload by its pod", {{"workload", "0a1b2c3d-0000-1111-2222-333344445555"}}, answered(), true},
      {"another workload", {{"workload", "cron.service"}}, answered(), false},
      {"pid", {{"pid", "42"}}, answered(), true},
      {"latency, its bound included", {{"min_latency", "12ms"}}, answered(), true},
      {"a longer latency", {{"min_latency", "13ms"}}, answered(), false},
      {"a timeout failed", {{"failed", "true"}}, timed_out(), true},
      {"SERVFAIL failed", {{"failed", "true"}}, with_rcode(kServFail), true},
      {"NXDOMAIN is an answer", {{"failed", "true"}}, with_rcode(kNxDomain), false},
      {"not. leaves out", {{"not.name", "*.example.com"}}, answered(), false},
      {"not. of something else leaves in", {{"not.name", "*.example.org"}}, answered(), true},
      {"any negated value leaves out", {{"not.pid", "1"}, {"not.type", "A"}}, answered(), false},
      {"a negation wins", {{"name", "*"}, {"not.pid", "42"}}, answered(), false},
  };
  for (const auto& c : kCases) {
    INFO(c.why);
    const auto filter = LookupFilter::parse(c.parameters);
    REQUIRE(filter);
    CHECK(filter->matches(c.lookup) == c.shown);
  }
}

TEST_CASE("A malformed filter is refused by its name") {
  const std::pair<const char*, const char*> kCases[] = {
      {"type", "NOSUCH"},
      {"rcode", "NOSUCH"},
      {"outcome", "lost"},
      {"pid", "-1"},
      {"pid", "1x"},
      {"min_latency", "10"},
      {"failed", "maybe"},
      {"name", ""},
      {"not.type", "NOSUCH"},
      {"not.colour", "red"},
      {"min_latency", "-1ms"},
      {"server", "nonsense"},
      {"server", "192.0.2.53:"},
      {"server", "192.0.2.53:70000"},
      {"server", "192.0.2"},
      {"server", "[::1]"},
      {"server", "[::1]:x"},
      {"server", "dns.example.com"},
      {"not.server", "192.0.2.53:53x"},
  };
  for (const auto& [field, value] : kCases) {
    INFO(field << "=" << value);
    const auto filter = LookupFilter::parse({{field, value}});
    REQUIRE_FALSE(filter);
    const std::string name = std::string(field).starts_with("not.") ? field + 4 : field;
    CHECK(filter.error().message.find(name) != std::string::npos);
  }
}
