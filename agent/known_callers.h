// SPDX-License-Identifier: Apache-2.0
// The pods whose callers the kernel knows (svc_callers): by their cgroup, network namespace or address.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/kernel/service_tables.h"
#include "agent/model/service.h"

namespace cortexflow {

class KnownCallers {
 public:
  struct Place {
    std::string cgroup_root, node;
    bool by_packet = false;  // callers are known by their address too
    // Of the pod with that uid, by which its callers are known; nothing: it has none (yet).
    std::function<std::optional<std::uint64_t>(const std::string& uid)> cgroup_of_pod;
  };

  void set_place(Place place) { place_ = std::move(place); }
  // What an agent before wrote: cgroups and namespaces may be others by now.
  void clear(kernel::ServiceTables& tables, std::vector<Error>& errors);
  // Null: it has gone.  Of pods that share a key the one that came last counts; when it goes, the one before it.
  void update(const model::ObjectName& name, const model::Pod* pod, kernel::ServiceTables& tables,
              std::vector<Error>& errors);
  [[nodiscard]] const std::map<model::ObjectName, std::string>& refusals() const { return refusals_; }

  // Refused pods whose turn it is to be looked at again, as a cgroup or namespace may come after its pod: once a
  // second, some at a time.
  [[nodiscard]] std::vector<model::ObjectName> due(std::chrono::steady_clock::time_point now);

 private:
  static constexpr std::chrono::seconds kRetryEvery{1};
  static constexpr std::size_t kRetriesAtOnce = 64;

  void put(const model::ObjectName& name, const Result<std::uint64_t>& id, cf_svc_caller_kind kind,
           const cf_svc_caller& caller, kernel::ServiceTables& tables);
  void put_all(const model::ObjectName& name, const model::Pod& pod, kernel::ServiceTables& tables);
  void release(const model::ObjectName& name, const std::string& key, kernel::ServiceTables& tables,
               std::vector<Error>& errors);

  Place place_;
  std::map<model::ObjectName, std::set<std::string>> keys_;  // octets in svc_callers, by pod
  std::map<std::string, std::vector<std::pair<model::ObjectName, cf_svc_caller>>> claims_;  // by key; the last counts
  std::map<model::ObjectName, std::string> refusals_;
  std::chrono::steady_clock::time_point retried_;
  model::ObjectName retried_last_;
};

}  // namespace cortexflow
