// SPDX-License-Identifier: Apache-2.0
// cortexflow.io/v1alpha1 DenyList, of no namespace:
//
//   spec:
//     entries:
//     - cidr: 198.51.100.0/24            # or one address
//       ports: [80, 443]                 # of the services' outside; left out: all
//       direction: In                    # In (default): who comes from there; Out: answers that go there; Both
//       mode: Enforce                    # Enforce (default), Audit: count and let pass
//       expires: 2030-01-01T00:00:00Z    # RFC 3339; left out: never
//
// A field that is not known is refused: a typing error must not pass for a default.
#include <algorithm>

#include "agent/model/time_text.h"
#include "agent/source/manifest/cidr.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kEntriesMax = 262'144;  // as many as the kernel's table has room for
constexpr std::size_t kDeniedPortsMax = 64;

model::DenyEntry read_entry(const Field& item) {
  item.only({"cidr", "ports", "direction", "mode", "expires"});
  model::DenyEntry entry;
  const model::Cidr cidr = read_cidr(item["cidr"]);
  entry.prefix = cidr.prefix;
  entry.length = cidr.length;
  for (const Field& port : item["ports"].items(kDeniedPortsMax)) {
    if (!port.present()) port.expected("a port");
    entry.ports.push_back(static_cast<std::uint16_t>(port.number(1, 65535).value_or(0)));
  }
  std::sort(entry.ports.begin(), entry.ports.end());
  entry.ports.erase(std::unique(entry.ports.begin(), entry.ports.end()), entry.ports.end());
  const auto direction = item["direction"].choice({"In", "Out", "Both"}, 0);
  entry.in = direction != 1;
  entry.out = direction != 0;
  entry.audit = item["mode"].choice({"Enforce", "Audit"}, 0) == 1;
  if (const Field expires = item["expires"]; expires.present()) {
    entry.expires = model::parse_time(expires.text());
    if (!entry.expires) expires.expected("a time, such as 2030-01-01T00:00:00Z");
  }
  return entry;
}

}  // namespace

model::DenyList read_deny_list(const Field& object) {
  model::DenyList list;
  list.name = read_metadata(object, NameRule::kDns1123Subdomain, false).name;
  const Field spec = object["spec"];
  if (!spec.present()) spec.expected("a mapping");
  spec.only({"entries"});
  for (const Field& item : spec["entries"].items(kEntriesMax)) list.entries.push_back(read_entry(item));
  return list;
}

}  // namespace cortexflow::source
