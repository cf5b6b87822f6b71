// SPDX-License-Identifier: Apache-2.0
// Any "field=value" as a lookup filter: an error that names it, or a test whose `not.` leaves out just what it takes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/control/lookup_filter.h"

namespace {

using cortexflow::control::LookupFilter;
using cortexflow::model::DnsLookup;

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<DnsLookup> some_lookups() {
  std::vector<DnsLookup> lookups(3);
  lookups[0].name = "www.Example.com";
  lookups[0].workload.name = "nginx.service";
  lookups[0].workload.container_id = std::string(64, 'a');
  lookups[0].has_answer = true;
  lookups[1].name = std::string(253, 'a');
  lookups[1].outcome = cortexflow::model::DnsOutcome::kTimeout;
  lookups[2].name = "\\255\\.b\\\\";
  lookups[2].server.octets[15] = 1;
  return lookups;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<DnsLookup> kLookups = some_lookups();
  const std::string text(data, data + size);
  const auto equals = text.find('=');
  if (equals == std::string::npos) return 0;
  const std::string field = text.substr(0, equals);
  const std::string value = text.substr(equals + 1);

  const auto wanted = LookupFilter::parse({{field, value}});
  const auto unwanted = LookupFilter::parse({{"not." + field, value}});
  if (!unwanted) {
    require(unwanted.error().message.find(field) != std::string::npos);
    return 0;
  }
  require(wanted.has_value());
  for (const auto& lookup : kLookups) require(wanted->matches(lookup) != unwanted->matches(lookup));
  return 0;
}
