// SPDX-License-Identifier: Apache-2.0
// A caller as a person names it, found on this machine.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/lookup.h"
#include "agent/state/snapshot.h"

namespace cortexflow {

struct FoundCaller {
  std::string name;                         // "pod shop/web", "process 4711", "cgroup /shop"
  std::shared_ptr<const model::Pod> pod;    // null: it isn't one
  std::string cgroup;                       // directory; empty: not known
  std::string netns;                        // path; empty: not known
  std::vector<model::IpAddress> addresses;  // that are known of it
  std::vector<std::string> notes;           // how that was found, and what was not
};

struct CallersPlace {
  std::string cgroup_root;
  std::vector<model::IpAddress> addresses;  // of the agent's own network namespace
};

// NAMESPACE/NAME of a pod, an ADDRESS (a pod's, this machine's, or anybody's of whom no more is known), pid:NUMBER, or
// cgroup:PATH (a directory, or a path below the place's).
[[nodiscard]] Result<FoundCaller> find_caller(const std::string& text, const state::Snapshot& snapshot,
                                              const CallersPlace& place);

// As the kernel's programs know it by its sockets.
[[nodiscard]] compile::Caller known_caller(const FoundCaller& caller, const compile::Find& find);

// Programs at `cgroup_root` run for what is in `cgroup`.
[[nodiscard]] bool is_below(const std::string& cgroup, const std::string& cgroup_root);

}  // namespace cortexflow
