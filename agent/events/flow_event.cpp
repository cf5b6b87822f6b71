// SPDX-License-Identifier: Apache-2.0
#include "agent/events/flow_event.h"

#include "agent/events/fixed_record.h"

namespace cortexflow::events {

tl::expected<cf_flow, DecodeError> decode_flow(std::span<const std::byte> record) {
  auto flow = decode_fixed<cf_flow>(record, CF_EVENT_FLOW, CF_FLOW_VERSION);
  if (!flow) return flow;
  const bool known_direction = flow->direction == CF_FLOW_OUT || flow->direction == CF_FLOW_IN;
  if (!known_direction || flow->outcome < CF_FLOW_CLOSED || flow->outcome >= CF_FLOW_OUTCOMES ||
      flow->policy.verdict >= CF_POLICY_V_MAX) {
    return tl::make_unexpected(DecodeError::kBadField);
  }
  return flow;
}

}  // namespace cortexflow::events
