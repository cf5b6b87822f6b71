// SPDX-License-Identifier: Apache-2.0
#include "agent/events/dns_event.h"

#include <algorithm>
#include <cstring>

namespace cortexflow::events {

tl::expected<cf_dns_lookup, DecodeError> decode_dns_lookup(std::span<const std::byte> record) {
  cf_event_head head{};
  if (record.size() < sizeof head) return tl::make_unexpected(DecodeError::kShort);
  std::memcpy(&head, record.data(), sizeof head);
  if (head.type != CF_EVENT_DNS_LOOKUP) return tl::make_unexpected(DecodeError::kUnknownType);
  if (head.version != CF_DNS_LOOKUP_VERSION) return tl::make_unexpected(DecodeError::kUnknownVersion);
  if (head.len > record.size() || head.len < CF_DNS_LOOKUP_FIXED) return tl::make_unexpected(DecodeError::kShort);

  cf_dns_lookup lookup{};
  std::memcpy(&lookup, record.data(), std::min<std::size_t>(head.len, sizeof lookup));
  if (lookup.query.name_len > CF_DNS_NAME_MAX || std::size_t{CF_DNS_LOOKUP_FIXED} + lookup.query.name_len > head.len) {
    return tl::make_unexpected(DecodeError::kShort);
  }
  const bool known_transport = lookup.key.transport == CF_TRANSPORT_UDP || lookup.key.transport == CF_TRANSPORT_TCP;
  if (lookup.outcome < CF_DNS_ANSWERED || lookup.outcome > CF_DNS_UNTRACKED || !known_transport) {
    return tl::make_unexpected(DecodeError::kBadField);
  }
  return lookup;
}

}  // namespace cortexflow::events
