// SPDX-License-Identifier: Apache-2.0
// What a caller of a service gets, and why, from the kernel's tables as they are.
#pragma once

#include "agent/caller.h"
#include "agent/compile/service_book.h"
#include "agent/control/explanation.h"
#include "agent/kernel/redirect.h"
#include "agent/kernel/service_tables.h"
#include "agent/state/snapshot.h"

namespace cortexflow {

struct ExplainContext {
  const state::Snapshot& snapshot;
  const compile::ServiceBook& book;
  const kernel::ServiceTables& tables;
  const kernel::Redirect* redirect;  // null: nobody is served by packet
  const std::string& cgroup_root;
};

// NAME:PORT or ADDRESS:PORT; NAME is NAMESPACE/NAME, PORT its number or name.
[[nodiscard]] Result<control::Explanation> explain(const ExplainContext& context, const FoundCaller& caller,
                                                   const std::string& target);

// Each address of the service.  `from`: one caller calls so often; null: so many callers, of `version`.
[[nodiscard]] std::vector<control::SimulatedPort> simulate_service(const ExplainContext& context,
                                                                   const model::ObjectName& service,
                                                                   const FoundCaller* from, const std::string& version,
                                                                   std::uint64_t callers);

}  // namespace cortexflow
