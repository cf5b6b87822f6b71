// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string_view>

#include "agent/source/manifest/field.h"
#include "agent/source/settings.h"

namespace cortexflow::source {

// "30s", "1500ms", "2m"; `fallback` where absent or wrong.  `expected` names the range.
[[nodiscard]] inline std::chrono::milliseconds read_duration(const Field& field, std::chrono::milliseconds fallback,
                                                             std::chrono::milliseconds min,
                                                             std::chrono::milliseconds max, std::string_view expected) {
  if (!field.present()) return fallback;
  const auto read = field.is_text() ? parse_duration(field.text()) : std::nullopt;
  if (read && *read >= min && *read <= max) return *read;
  field.expected(expected);
  return fallback;
}

}  // namespace cortexflow::source
