// SPDX-License-Identifier: Apache-2.0
#include "agent/events/policy_event.h"

#include <netinet/in.h>

#include "agent/events/fixed_record.h"

namespace cortexflow::events {

tl::expected<cf_policy_event, DecodeError> decode_policy(std::span<const std::byte> record) {
  auto event = decode_fixed<cf_policy_event>(record, CF_EVENT_POLICY, CF_POLICY_EVENT_VERSION);
  if (!event) return event;
  const bool known_protocol = event->protocol == IPPROTO_TCP || event->protocol == IPPROTO_UDP;
  if (!known_protocol || event->direction >= CF_POLICY_DIRECTIONS || event->judgment.verdict >= CF_POLICY_V_MAX) {
    return tl::make_unexpected(DecodeError::kBadField);
  }
  return event;
}

}  // namespace cortexflow::events
