// SPDX-License-Identifier: Apache-2.0
// Merges what the sources say into one desired state, and says with each update which services it can concern.
//
// Not thread safe; the snapshots that it gives out are.  No clock, no thread, no system call.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/model/object.h"
#include "agent/state/snapshot.h"

namespace cortexflow::state {

// Everything that differs from the snapshot before.
struct Touched {
  // The Service, its EndpointSlices, the Pods behind its endpoints, the TrafficPolicies that target it.
  std::set<model::ObjectName> services;
  std::set<model::ObjectName> pods;  // themselves: they may be callers
  std::set<std::string> namespaces;
  bool deny_lists = false;
  bool authorization_policies = false;
  bool network_policies = false;
  bool nodes = false;
};

struct Update {
  std::shared_ptr<const Snapshot> snapshot;
  Touched touched;
};

class DesiredState {
 public:
  // Where several sources have an object, the first of them counts.
  explicit DesiredState(std::vector<std::string> sources);

  // `source` is a place in that list.
  Update apply(std::size_t source, const model::SourceUpdate& update);

  [[nodiscard]] const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  // Places of those that have the object, where there is more than one source; the first counts.
  [[nodiscard]] std::vector<std::size_t> sources_of(const model::ObjectKey& key) const;

  // All that stand now: those of the sources in their order, then what only the whole shows (an object that two sources
  // have, a second policy for a service, a policy for a service that doesn't exist); these name no file.
  [[nodiscard]] std::vector<model::Refusal> refusals() const;
  [[nodiscard]] std::uint64_t refused() const;   // how many; a source that has very many doesn't list them all
  [[nodiscard]] std::uint64_t unlisted() const;  // of these
  [[nodiscard]] std::vector<model::IgnoredKind> ignored() const;

 private:
  struct Notes {
    std::vector<model::Refusal> refusals;
    std::vector<model::IgnoredKind> ignored;
    std::uint64_t refused = 0;
  };

  void change(std::size_t source, const model::Change& change, Touched& touched);
  void set(const model::ObjectKey& key, const std::optional<model::Object>& object, Touched& touched);
  template <typename T>
  std::shared_ptr<const T> replace(PersistentMap<T>& map, const model::ObjectName& name,
                                   const std::shared_ptr<const T>& now);
  void set_slice(const model::ObjectName& name, const std::shared_ptr<const model::EndpointSlice>& now,
                 Touched& touched);
  void set_policy(const model::ObjectName& name, const std::shared_ptr<const model::TrafficPolicy>& now,
                  Touched& touched);
  void set_pod(const model::ObjectName& name, const std::shared_ptr<const model::Pod>& now, Touched& touched);
  template <typename Edit>
  void edit_parts(const model::ObjectName& service, const Edit& edit);
  void check_policies(const model::ObjectName& service);

  std::vector<std::string> sources_;
  std::vector<Notes> notes_;  // by source
  std::shared_ptr<const Snapshot> snapshot_;
  Snapshot next_;
  // Every object by source, where there is more than one source.
  std::map<model::ObjectKey, std::map<std::size_t, model::Object>> shared_;
  // Which slices point to a pod: by the pod name's hash.  The slices are in next_.
  std::unordered_multimap<std::size_t, const model::EndpointSlice*> by_pod_;
  std::map<model::ObjectName, std::vector<model::Refusal>> policy_refusals_;  // by service
};

}  // namespace cortexflow::state
