// SPDX-License-Identifier: Apache-2.0
// Records of one size.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <tl/expected.hpp>

#include "agent/events/decode_error.h"
#include "bpf/abi/event.h"

namespace cortexflow::events {

template <typename Record>
[[nodiscard]] tl::expected<Record, DecodeError> decode_fixed(std::span<const std::byte> record, __u16 type,
                                                             __u16 version) {
  cf_event_head head{};
  if (record.size() < sizeof head) return tl::make_unexpected(DecodeError::kShort);
  std::memcpy(&head, record.data(), sizeof head);
  if (head.type != type) return tl::make_unexpected(DecodeError::kUnknownType);
  if (head.version != version) return tl::make_unexpected(DecodeError::kUnknownVersion);
  if (head.len > record.size() || head.len < sizeof(Record)) return tl::make_unexpected(DecodeError::kShort);
  Record out{};
  std::memcpy(&out, record.data(), sizeof out);
  return out;
}

}  // namespace cortexflow::events
