// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "agent/model/cidr.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

// "198.51.100.0/24", or one address.
[[nodiscard]] std::optional<model::Cidr> parse_cidr(const std::string& text);

// The same; refused otherwise, and where octets behind the prefix are not zero.
[[nodiscard]] model::Cidr read_cidr(const Field& field);

}  // namespace cortexflow::source
