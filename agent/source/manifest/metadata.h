// SPDX-License-Identifier: Apache-2.0
// metadata: of an object, with the API server's defaults and checks.
#pragma once

#include <string>

#include "agent/model/service.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

inline constexpr std::string_view kDefaultNamespace = "default";
inline constexpr std::size_t kLabelsMax = 200'000;  // more than an object of the API server's, 1.5 MiB, has room for

struct Metadata {
  model::ObjectName name;
  model::Labels labels;
};

enum class NameRule : std::uint8_t { kDns1035Label, kDns1123Label, kDns1123Subdomain };

// `namespaced` kinds are in "default" where the document doesn't say.
[[nodiscard]] Metadata read_metadata(const Field& object, NameRule rule, bool namespaced = true);

// A mapping of label keys to label values.
[[nodiscard]] model::Labels read_labels(const Field& labels);

// The name alone, as far as it can be read, and without remembering problems: to say which object is refused.
[[nodiscard]] model::ObjectName peek_name(const Value& root, bool namespaced);

}  // namespace cortexflow::source
