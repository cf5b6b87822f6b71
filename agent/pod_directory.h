// SPDX-License-Identifier: Apache-2.0
// Pods by the uid that their cgroups have: who it was that looked up, or connects.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "agent/model/service.h"
#include "agent/model/workload.h"

namespace cortexflow {

class PodDirectory {
 public:
  // Null: it has gone.
  void update(const model::ObjectName& name, const model::Pod* pod);
  // Fills in what is known of the pod with `workload.pod_uid`.
  void name(model::Workload& workload) const;
  // `workload` is that pod's.
  static void fill(model::Workload& workload, const model::ObjectName& pod, const std::string& owner);
  [[nodiscard]] const model::ObjectName* find(const std::string& uid) const;

 private:
  struct Entry {
    model::ObjectName name;
    std::string owner;
    std::vector<std::pair<std::string, std::string>> containers;
  };

  std::unordered_map<std::string, Entry> by_uid_;
  std::unordered_map<std::string, std::string> uids_;  // by "NAMESPACE/NAME"
};

}  // namespace cortexflow
