// SPDX-License-Identifier: Apache-2.0
// Which processes of this machine are which workloads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identity/caller.h"
#include "identity/spiffe_id.h"

namespace cortexflow::identity {

// All that is given has to hold for the caller; at least one is given.
struct WorkloadRule {
  SpiffeId id;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::string> cgroup;   // this one, or one below it
  std::vector<std::string> dns_names;  // that it may have; "*." stands for one label
  bool operator==(const WorkloadRule&) const = default;
};

class Mapping {
 public:
  static constexpr std::size_t kRulesMax = 16'384;

  Mapping() = default;
  explicit Mapping(std::vector<WorkloadRule> rules) : rules_(std::move(rules)) {}

  // In their order; each SPIFFE ID once.
  [[nodiscard]] std::vector<WorkloadRule> of(const Caller& caller) const;
  [[nodiscard]] std::size_t size() const { return rules_.size(); }

 private:
  std::vector<WorkloadRule> rules_;
};

}  // namespace cortexflow::identity
