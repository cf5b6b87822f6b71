// SPDX-License-Identifier: Apache-2.0
// Ring buffer bytes -> the flow record they hold.  Nothing that lies in the ring may crash or be believed unchecked.
#pragma once

#include <cstddef>
#include <span>
#include <tl/expected.hpp>

#include "agent/events/decode_error.h"
#include "bpf/abi/flow.h"

namespace cortexflow::events {

[[nodiscard]] tl::expected<cf_flow, DecodeError> decode_flow(std::span<const std::byte> record);

}  // namespace cortexflow::events
