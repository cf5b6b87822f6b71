// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/enrolment.h"

#include "agent/source/kubernetes/object_reading.h"
#include "agent/source/manifest/names.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr const char* kMirrorAnnotation = "kubernetes.io/config.mirror";  // the kubelet's, on what stands for a file

// `/`-separated keys of objects; null where there is nothing.
const json& at(const json& object, std::initializer_list<const char*> keys) {
  static const json kNone;
  const json* here = &object;
  for (const char* key : keys) {
    if (!here->is_object()) return kNone;
    const auto found = here->find(key);
    if (found == here->end()) return kNone;
    here = &*found;
  }
  return *here;
}

// Why the pod stays as it is; empty: it is enrolled.
std::string check_pod(const AdmissionRequest& request, const std::set<std::string>& system_namespaces) {
  const auto& pod = request.object;
  if (!request.group.empty() || request.kind != "Pod" || !request.subresource.empty()) return "not_a_pod";
  if (request.operation != Operation::kCreate) return "not_created";
  if (system_namespaces.contains(request.name.ns)) return "system";
  if (at(pod, {"spec", "hostNetwork"}) == true) return "host_network";
  if (!at(pod, {"metadata", "annotations", kMirrorAnnotation}).is_null()) return "mirror";
  switch (mesh_choice(pod)) {
    case MeshChoice::kDisabled:
      return "opted_out";
    case MeshChoice::kUnclear:
      return "unclear";
    default:
      break;
  }
  // The API server refuses it a moment later.
  const auto& labels = at(pod, {"metadata", "labels"});
  return at(pod, {"metadata"}).is_object() && (labels.is_null() || labels.is_object()) ? "" : "not_a_pod";
}

// As the agent names the workload, without its kind; empty: the pod was made by hand, or the name is no label's value.
std::string workload_of(const json& pod) {
  // Of the pod only what tells its owner: whatever else may be wrong with it.
  json told{{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", {{"name", "pod"}, {"namespace", "default"}}}};
  for (const char* key : {"labels", "ownerReferences"}) {
    if (const auto& value = at(pod, {"metadata", key}); !value.is_null()) told["metadata"][key] = value;
  }
  const auto reading = source::read_object(told, model::Kind::kPod, {"default", "pod"});
  if (reading.read.objects.empty()) return {};
  const auto& owner = std::get<std::shared_ptr<const model::Pod>>(reading.read.objects.front().object)->owner;
  const auto slash = owner.find('/');
  auto name = slash == std::string::npos ? std::string() : owner.substr(slash + 1);
  return source::is_label_value(name) ? name : std::string();
}

}  // namespace

MeshChoice mesh_choice(const json& pod) {
  auto out = MeshChoice::kUnsaid;
  for (const char* holder : {"labels", "annotations"}) {
    const auto& said = at(pod, {"metadata", holder, kMeshKey});
    if (said == "disabled") return MeshChoice::kDisabled;
    if (said == "enabled" && out == MeshChoice::kUnsaid) out = MeshChoice::kEnabled;
    if (!said.is_null() && said != "enabled") out = MeshChoice::kUnclear;
  }
  return out;
}

Enrolment enrol(const AdmissionRequest& request, const std::set<std::string>& system_namespaces) {
  if (auto why = check_pod(request, system_namespaces); !why.empty()) return {std::move(why), {}};
  auto enrolled = request.object;
  auto& labels = enrolled["metadata"]["labels"];
  if (labels.is_null()) labels = json::object();
  labels.emplace(kMeshKey, "enabled");
  if (auto workload = workload_of(request.object); !workload.empty()) labels.emplace(kWorkloadKey, std::move(workload));
  auto patch = json::diff(request.object, enrolled);
  if (patch.empty()) return {"complete", {}};
  return {"enrolled", std::move(patch)};
}

}  // namespace cortexflow::identity
