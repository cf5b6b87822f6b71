// SPDX-License-Identifier: Apache-2.0
#include "agent/events/flow_event.h"

#include <cstring>

namespace cortexflow::events {

tl::expected<cf_flow, DecodeError> decode_flow(std::span<const std::byte> record) {
  cf_event_head head{};
  if (record.size() < sizeof head) return tl::make_unexpected(DecodeError::kShort);
  std::memcpy(&head, record.data(), sizeof head);
  if (head.type != CF_EVENT_FLOW) return tl::make_unexpected(DecodeError::kUnknownType);
  if (head.version != CF_FLOW_VERSION) return tl::make_unexpected(DecodeError::kUnknownVersion);
  if (head.len > record.size() || head.len < sizeof(cf_flow)) return tl::make_unexpected(DecodeError::kShort);
  cf_flow flow{};
  std::memcpy(&flow, record.data(), sizeof flow);
  const bool known_direction = flow.direction == CF_FLOW_OUT || flow.direction == CF_FLOW_IN;
  if (!known_direction || flow.outcome < CF_FLOW_CLOSED || flow.outcome >= CF_FLOW_OUTCOMES) {
    return tl::make_unexpected(DecodeError::kBadField);
  }
  return flow;
}

}  // namespace cortexflow::events
