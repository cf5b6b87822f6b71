// SPDX-License-Identifier: Apache-2.0
// Ring buffer bytes -> the DNS record they hold.  Nothing that lies in the ring may crash or be believed unchecked.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <tl/expected.hpp>

#include "bpf/abi/dns.h"

namespace cortexflow::events {

// Why a record could not be used; each is counted under its name as a cause of loss.
enum class DecodeError { kShort, kUnknownType, kUnknownVersion, kBadField };
constexpr int kDecodeErrors = 4;

// "record_short", "record_type", "record_version", "record_field"
[[nodiscard]] std::string_view cause(DecodeError error);

// The record, its name padded with zeros.  Checks lengths and enums; the name itself is the next stage's.
[[nodiscard]] tl::expected<cf_dns_lookup, DecodeError> decode_dns_lookup(std::span<const std::byte> record);

}  // namespace cortexflow::events
