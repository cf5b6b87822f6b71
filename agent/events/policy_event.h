// SPDX-License-Identifier: Apache-2.0
// Ring buffer bytes -> what policy refused, or would have.  Nothing that lies in the ring may crash or be believed
// unchecked.
#pragma once

#include <cstddef>
#include <span>
#include <tl/expected.hpp>

#include "agent/events/decode_error.h"
#include "bpf/abi/policy.h"

namespace cortexflow::events {

[[nodiscard]] tl::expected<cf_policy_event, DecodeError> decode_policy(std::span<const std::byte> record);

}  // namespace cortexflow::events
