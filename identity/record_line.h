// SPDX-License-Identifier: Apache-2.0
// How a record is written: 16 hexadecimal digits of its SHA-256, a space, its text, a line end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "identity/records.h"

namespace cortexflow::identity {

[[nodiscard]] std::string line_of(std::string_view record);

struct ReadLines {
  std::size_t octets = 0;  // of good records from the beginning
  std::size_t broken = 0;  // number of the first line that is none; 0: all are good
};
// Gives each record to `take`.  What is broken at the end was torn; an error where good records follow it: that is
// damage.  `name` is what holds the text, for errors.
[[nodiscard]] Result<ReadLines> read_lines(std::string_view text, const std::string& name, const Records::Take& take);

}  // namespace cortexflow::identity
