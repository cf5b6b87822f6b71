// SPDX-License-Identifier: Apache-2.0
// DNS names as they stand in certificates (RFC 5280, RFC 6125).
#pragma once

#include <string_view>

namespace cortexflow::identity {

// Labels of letters, digits and dashes, at most 63 octets each and 253 in all; the first may be a whole "*".
[[nodiscard]] bool is_dns_name(std::string_view name);

// Does `pattern` allow `name`?  The same name whatever its case, or a "*" in the pattern for exactly one first label.
[[nodiscard]] bool dns_name_allowed(std::string_view pattern, std::string_view name);

}  // namespace cortexflow::identity
