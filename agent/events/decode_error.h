// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace cortexflow::events {

// Why a record could not be used; each is counted under its name as a cause of loss.
enum class DecodeError { kShort, kUnknownType, kUnknownVersion, kBadField };
constexpr int kDecodeErrors = 4;

// "record_short", "record_type", "record_version", "record_field"
[[nodiscard]] std::string_view cause(DecodeError error);

}  // namespace cortexflow::events
