// SPDX-License-Identifier: Apache-2.0
// Ring buffer bytes -> the DNS record they hold.  Nothing that lies in the ring may crash or be believed unchecked.
#pragma once

#include <cstddef>
#include <span>
#include <tl/expected.hpp>

#include "agent/events/decode_error.h"
#include "bpf/abi/dns.h"

namespace cortexflow::events {

// The record, its name padded with zeros.  Checks lengths and enums; the name itself is the next stage's.
[[nodiscard]] tl::expected<cf_dns_lookup, DecodeError> decode_dns_lookup(std::span<const std::byte> record);

}  // namespace cortexflow::events
