// SPDX-License-Identifier: Apache-2.0
// One document of YAML, or of JSON (which is YAML too), read into a tree: the one file that knows libyaml.  (yaml-cpp
// takes seven times as long over the same text: 10,000 services with 100,000 endpoints are to be there in two seconds.)
#pragma once

#include <tl/expected.hpp>

#include "agent/source/manifest/document_split.h"
#include "agent/source/manifest/tree_builder.h"

namespace cortexflow::source {

// kNull for a document without content.
[[nodiscard]] tl::expected<Value, Problem> read_yaml(const DocumentText& document);

}  // namespace cortexflow::source
