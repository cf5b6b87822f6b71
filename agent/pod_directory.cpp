// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_directory.h"

namespace cortexflow {

void PodDirectory::update(const model::ObjectName& name, const model::Pod* pod) {
  const std::string key = name.ns + "/" + name.name;
  // A pod of that name may have followed another.
  if (const auto had = uids_.find(key); had != uids_.end()) {
    by_uid_.erase(had->second);
    uids_.erase(had);
  }
  if (!pod || pod->uid.empty()) return;
  uids_[key] = pod->uid;
  by_uid_[pod->uid] = {name, pod->owner, pod->containers};
}

const model::ObjectName* PodDirectory::find(const std::string& uid) const {
  const auto found = by_uid_.find(uid);
  return found == by_uid_.end() ? nullptr : &found->second.name;
}

void PodDirectory::fill(model::Workload& workload, const model::ObjectName& pod, const std::string& owner) {
  workload.ns = pod.ns;
  workload.pod = pod.name;
  workload.owner = owner;
  const auto slash = owner.find('/');
  workload.name = pod.ns + "/" + (slash == std::string::npos ? pod.name : owner.substr(slash + 1));
}

void PodDirectory::name(model::Workload& workload) const {
  if (workload.pod_uid.empty()) return;
  const auto found = by_uid_.find(workload.pod_uid);
  if (found == by_uid_.end()) return;
  const auto& pod = found->second;
  fill(workload, pod.name, pod.owner);
  for (const auto& [id, name] : pod.containers) {
    if (id == workload.container_id) workload.container = name;
  }
}

}  // namespace cortexflow
