// SPDX-License-Identifier: Apache-2.0
// The operator's deny list as a file, and an entry as the API takes it: both as a DenyList document has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/deny_list.h"

namespace cortexflow::source {

// An item of spec.entries, as JSON.
[[nodiscard]] Result<model::DenyEntry> parse_deny_entry(std::string_view json);

// One DenyList document, as JSON; without a name, the operator's.
[[nodiscard]] std::string deny_list_text(const model::DenyList& list);
// Empty where there is no file.
[[nodiscard]] Result<model::DenyList> read_deny_list_file(const std::string& path);

// A file of any number of such documents.
inline constexpr std::size_t kDenyListsOctetsMax = 256U << 20U;
[[nodiscard]] Result<std::vector<model::DenyList>> read_deny_lists_file(const std::string& path);

// "In", "Out", "Both"
[[nodiscard]] std::string direction_name(const model::DenyEntry& entry);
// "Enforce", "Audit"
[[nodiscard]] std::string mode_name(const model::DenyEntry& entry);

}  // namespace cortexflow::source
