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
#include <charconv>

#include "agent/model/time_text.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kEntriesMax = 262'144;  // as many as the kernel's table has room for
constexpr std::size_t kDeniedPortsMax = 64;

// Octets behind the prefix are a mistake more often than not: which of the two is meant?
bool has_host_bits(const model::IpAddress& address, unsigned length) {
  for (unsigned bit = length + (address.is_v4() ? 96U : 0U); bit < 128; ++bit) {
    if (address.octets[bit / 8] & (0x80U >> (bit % 8))) return true;
  }
  return false;
}

void read_cidr(const Field& field, model::DenyEntry& entry) {
  const std::string text = field.required_text();
  const auto slash = text.find('/');
  const auto address = model::IpAddress::parse(text.substr(0, slash));
  if (!address || (address->is_v4() && text.find(':') != std::string::npos)) {
    return field.expected("an address, or ADDRESS/LENGTH");
  }
  const unsigned most = address->is_v4() ? 32 : 128;
  unsigned length = most;
  if (slash != std::string::npos) {
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + slash + 1, last, length);
    if (error != std::errc{} || end != last || length > most) return field.expected("ADDRESS/LENGTH");
  }
  if (has_host_bits(*address, length)) return field.expected("an address with zeros behind the prefix");
  entry.prefix = *address;
  entry.length = static_cast<std::uint8_t>(length);
}

model::DenyEntry read_entry(const Field& item) {
  item.only({"cidr", "ports", "direction", "mode", "expires"});
  model::DenyEntry entry;
  read_cidr(item["cidr"], entry);
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
