// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::source {

// A regular file's whole text.  Nothing: there is no such file.  An error for one that is too large or can't be read.
[[nodiscard]] Result<std::optional<std::string>> read_text(const std::string& path, std::size_t octets_max);
// The same, where it is an error that there is none.
[[nodiscard]] Result<std::string> read_whole(const std::string& path, std::size_t octets_max);

}  // namespace cortexflow::source
