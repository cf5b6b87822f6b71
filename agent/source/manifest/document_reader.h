// SPDX-License-Identifier: Apache-2.0
// A document -> the objects in it: one, or those of a List.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/model/object.h"
#include "agent/source/manifest/document_split.h"
#include "agent/source/manifest/tree_builder.h"

namespace cortexflow::source {

// Lines count from the document's first as 1, whatever document.line says: what was read stays true when text before
// it comes or goes.
struct ReadDocument {
  struct Read {
    model::Object object;
    std::uint32_t line = 0;
  };
  struct Refused {
    Problem problem;
    std::string object;                   // as far as it could be read
    std::optional<model::ObjectKey> key;  // none: it could be any object
    bool outward = false;                 // an AuthorizationPolicy that is not one of ingress alone
  };
  struct Ignored {
    std::string kind;  // "apps/v1 Deployment"
    std::uint32_t line = 0;
  };
  std::vector<Read> objects;
  std::vector<Refused> refused;
  std::vector<Ignored> ignored;
};

[[nodiscard]] ReadDocument read_document(std::string_view text);

// The same of a document's tree.
[[nodiscard]] ReadDocument read_tree(const Value& root);

}  // namespace cortexflow::source
