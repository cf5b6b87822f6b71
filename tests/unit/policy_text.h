// SPDX-License-Identifier: Apache-2.0
// AuthorizationPolicies as tests write them: a spec in YAML, read by the manifests' reader.
#pragma once

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "agent/source/manifest/document_reader.h"

namespace cortexflow::test {

using Policy = std::shared_ptr<const model::AuthorizationPolicy>;

inline std::string policy_text(const std::string& spec, const std::string& name = "p", const std::string& ns = "shop") {
  return fmt::format(
      "apiVersion: cortexflow.io/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {{name: {}, namespace: {}}}\nspec: "
      "{}\n",
      name, ns, spec);
}

inline Policy policy(const std::string& spec, const std::string& name = "p", const std::string& ns = "shop") {
  const auto read = source::read_document(policy_text(spec, name, ns));
  INFO(spec << (read.refused.empty() ? "" : read.refused[0].problem.reason));
  REQUIRE(read.objects.size() == 1);
  return std::get<Policy>(read.objects[0].object);
}

}  // namespace cortexflow::test
