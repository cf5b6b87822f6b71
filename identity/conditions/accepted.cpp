// SPDX-License-Identifier: Apache-2.0
#include "identity/conditions/accepted.h"

#include "agent/source/kubernetes/object_reading.h"
#include "agent/source/manifest/value.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr const char* kRead =
    "agents of this version read the manifest as it is written; what each node has applied is in `cfcli status`";

// Null: there is none.
json accepted_of(const json& object) {
  static const json::json_pointer kConditions("/status/conditions");
  if (!object.contains(kConditions) || !object.at(kConditions).is_array()) return {};
  for (const auto& condition : object.at(kConditions)) {
    if (condition.is_object() && condition.value("type", json()) == kAccepted) return condition;
  }
  return {};
}

json generation_of(const json& object) {
  static const json::json_pointer kGeneration("/metadata/generation");
  return object.contains(kGeneration) ? object.at(kGeneration) : json(0);
}

json verdict_on(json& object, const source::Resource& resource, const model::ObjectName& name) {
  source::normalize(object, resource, resource.versions.front());
  const auto refusal = source::read_object(object, resource.kind, name).refusal;
  return {{"type", kAccepted},
          {"status", refusal ? "False" : "True"},
          {"reason", refusal ? "Invalid" : "Accepted"},
          // Other characters may come back from the server in another form, and would be written again each time.
          {"message", refusal ? source::printable(refusal->to_string()) : kRead}};
}

}  // namespace

json condition_to_write(json& object, const source::Resource& resource, const model::ObjectName& name,
                        const std::string& now) {
  const auto there = accepted_of(object);
  const auto generation = generation_of(object);
  auto wanted = verdict_on(object, resource, name);
  wanted["observedGeneration"] = generation;
  const bool since = there.is_object() && there.value("status", json()) == wanted["status"] &&
                     there.value("lastTransitionTime", json()).is_string();
  wanted["lastTransitionTime"] = since ? there["lastTransitionTime"] : json(now);
  return wanted == there ? json() : wanted;
}

json condition_apply(const json& condition, const source::ResourceVersion& version, const model::ObjectName& name,
                     const std::string& resource_version) {
  json metadata{{"name", name.name}, {"resourceVersion", resource_version}};
  if (!name.ns.empty()) metadata["namespace"] = name.ns;
  return {{"apiVersion", version.api_version},
          {"kind", version.kind},
          {"metadata", std::move(metadata)},
          {"status", {{"conditions", json::array({condition})}}}};
}

}  // namespace cortexflow::identity
