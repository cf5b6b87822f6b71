// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/validation.h"

#include <algorithm>

#include "agent/source/kubernetes/object_reading.h"
#include "agent/source/manifest/object_readers.h"
#include "agent/source/manifest/value.h"
#include "identity/webhook/enrolment.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr std::string_view kGroup = "cortexflow.io";
constexpr std::string_view kPrefix = "cortexflow.io/";
constexpr std::string_view kWeightKey = "cortexflow.io/weight";

bool is_kept(const AdmissionRequest& request) {
  return request.subresource.empty() &&
         (request.operation == Operation::kCreate || request.operation == Operation::kUpdate);
}

// What agents read of it: all but what API servers and controllers write.
json read_part(json object) {
  object.erase("status");
  auto& metadata = object["metadata"];
  if (metadata.is_object()) {
    auto kept = json::object();
    for (const char* key : {"name", "namespace", "labels"}) {
      if (metadata.contains(key)) kept[key] = metadata[key];
    }
    metadata = std::move(kept);
  }
  return object;
}

bool is_being_deleted(const json& object) {
  const auto metadata = object.find("metadata");
  return metadata != object.end() && metadata->is_object() && metadata->contains("deletionTimestamp");
}

// Of an object that is made from a generateName, or by a template's, the API server adds the rest later.
json named(const AdmissionRequest& request) {
  auto object = request.object;
  if (!object["metadata"].is_object()) return object;
  auto& metadata = object["metadata"];
  const auto add = [&metadata](const char* key, const std::string& text) {
    const auto there = metadata.value(key, json(""));
    const bool lacks = there.is_string() && there.get_ref<const std::string&>().empty();
    if (!text.empty() && lacks) metadata[key] = text;
  };
  add("namespace", request.name.ns);
  add("name", request.name.name.empty() ? "unnamed" : request.name.name);
  return object;
}

source::ObjectReading reading_of(const AdmissionRequest& request, const source::Resource& resource) {
  auto object = named(request);
  // Another version than agents follow stays as it is, and is refused by its name.
  const bool of_ours = object.value("apiVersion", json()) == resource.versions.front().api_version;
  if (of_ours) source::normalize(object, resource, resource.versions.front());
  return source::read_object(object, resource.kind, request.name);
}

void add_unread(const json& pod, const char* holder, const std::vector<std::string_view>& known,
                std::vector<std::string>& to) {
  const auto metadata = pod.find("metadata");
  if (metadata == pod.end() || !metadata->is_object()) return;
  const auto entries = metadata->find(holder);
  if (entries == metadata->end() || !entries->is_object()) return;
  for (const auto& [key, value] : entries->items()) {
    if (!key.starts_with(kPrefix) || std::find(known.begin(), known.end(), key) != known.end()) continue;
    to.push_back(fmt::format("metadata.{}: nobody reads {}; known are {}", holder, source::printable(key),
                             fmt::join(known, ", ")));
  }
}

void add_bad_weight(const json& pod, std::vector<std::string>& to) {
  const auto path = json::json_pointer("/metadata/annotations") / std::string(kWeightKey);
  if (!pod.contains(path)) return;
  const auto& weight = pod.at(path);
  if (weight.is_string() && source::parse_pod_weight(weight.get<std::string>())) return;
  to.push_back(
      fmt::format("metadata.annotations.{}: expected a number from 0 to 1000, in quotes; it counts as 1", kWeightKey));
}

std::vector<std::string> pod_warnings(const AdmissionRequest& request) {
  std::vector<std::string> out;
  if (mesh_choice(request.object) == MeshChoice::kUnclear) {
    out.push_back(fmt::format("{}: expected enabled or disabled; the pod is not enrolled", kMeshKey));
  }
  add_unread(request.object, "annotations", {kMeshKey, kWeightKey}, out);
  add_unread(request.object, "labels", {kMeshKey, kWorkloadKey}, out);
  add_bad_weight(request.object, out);
  const auto* resource = source::find_resource("", "Pod");
  const auto reading = reading_of(request, *resource);
  if (reading.refusal) {
    out.push_back("agents will not use this pod: " + reading.refusal->field + ": " + reading.refusal->reason);
  }
  return out;
}

}  // namespace

std::string refusal_of(const AdmissionRequest& request) {
  if (request.group != kGroup || !is_kept(request) || is_being_deleted(request.object)) return {};
  const auto* resource = source::find_resource(request.group, request.kind);
  if (resource == nullptr) return {};
  if (request.operation == Operation::kUpdate && read_part(request.object) == read_part(request.old_object)) return {};
  const auto reading = reading_of(request, *resource);
  return reading.refusal ? reading.refusal->to_string() : std::string();
}

std::vector<std::string> warnings_of(const AdmissionRequest& request) {
  if (!is_kept(request)) return {};
  if (request.group.empty() && request.kind == "Pod") return pod_warnings(request);
  if (request.group == kGroup && source::find_resource(request.group, request.kind) == nullptr) {
    return {fmt::format("agents of this version do not read {}/{} {}", request.group, request.version, request.kind)};
  }
  return {};
}

}  // namespace cortexflow::identity
