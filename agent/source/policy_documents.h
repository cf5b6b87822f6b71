// SPDX-License-Identifier: Apache-2.0
// AuthorizationPolicies and NetworkPolicies that an operator hands over, checked by the manifests' readers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/object.h"

namespace cortexflow::source {

inline constexpr const char* kOperatorSource = "operator";  // Refusal::source
inline constexpr std::size_t kOperatorPoliciesMax = 1000;
inline constexpr std::size_t kOperatorPoliciesOctetsMax = 16 << 20;

struct PolicyDocument {
  model::Object object;
  std::string text;  // one line, which reads as the same again
};

struct PolicyDocuments {
  std::map<model::ObjectKey, PolicyDocument> documents;
  std::vector<model::Refusal> refusals;  // without a file
  model::Unread unread;                  // whose documents were refused
};

// YAML or JSON, several documents, or a List.
[[nodiscard]] PolicyDocuments read_policy_documents(std::string_view text);

// What read_policy_documents() reads as these.
[[nodiscard]] std::string policy_documents_text(const std::map<model::ObjectKey, PolicyDocument>& documents);

}  // namespace cortexflow::source
