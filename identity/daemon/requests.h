// SPDX-License-Identifier: Apache-2.0
// The bodies of the API's requests.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::identity {

struct IssueRequest {
  std::string csr;
  std::optional<std::chrono::seconds> lifetime;
};
struct RevokeRequest {
  std::string serial;  // as serial_text has it
  int reason = 0;
};

// JSON objects with these members and no others: {"csr", "lifetime_seconds"?}, {"serial", "reason"?}, {"chain"},
// {"step": "prepare" or "activate"}.
[[nodiscard]] Result<IssueRequest> parse_issue(std::string_view body);
[[nodiscard]] Result<RevokeRequest> parse_revoke(std::string_view body);
[[nodiscard]] Result<std::string> parse_verify(std::string_view body);
[[nodiscard]] Result<std::string> parse_rotation(std::string_view body);

}  // namespace cortexflow::identity
