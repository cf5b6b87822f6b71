// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/object_reading.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/json_value.h"

namespace cortexflow::source {

ObjectReading read_object(const nlohmann::json& object, model::Kind kind, const model::ObjectName& name) {
  ObjectReading out{read_tree(value_of(object)), std::nullopt};
  if (out.read.refused.empty()) return out;
  const auto& first = out.read.refused.front();
  const auto words = first.object.empty() ? model::ObjectKey{kind, name}.to_string() : first.object;
  out.refusal = model::Refusal{kKubernetesSource, "", 0, words, first.problem.field, first.problem.reason};
  return out;
}

const Resource* find_resource(std::string_view group, std::string_view kind) {
  const auto& all = resources();
  const auto at = std::find_if(all.begin(), all.end(), [&](const Resource& resource) {
    return std::any_of(resource.versions.begin(), resource.versions.end(), [&](const ResourceVersion& version) {
      const auto slash = version.api_version.find('/');
      return version.kind == kind &&
             group == std::string_view(version.api_version).substr(0, slash == std::string::npos ? 0 : slash);
    });
  });
  return at == all.end() ? nullptr : &*at;
}

}  // namespace cortexflow::source
