// SPDX-License-Identifier: Apache-2.0
// What is known against backends, kept in a pinned table (svc_avoided) for the agent that comes after this one: else a
// restart would send callers to backends that have just been found ill.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/service_book.h"
#include "agent/ejections.h"
#include "agent/kernel/service_tables.h"
#include "agent/service_health.h"

namespace cortexflow {

class AvoidedMemory {
 public:
  using Ejected = std::map<compile::PortKey, health::OutlierDetector::Memories>;

  // What an agent before left.
  void read(const kernel::ServiceTables& tables);
  // Of that, what is the service's; once: what is found here is left no more.
  [[nodiscard]] Ejected take_ejected(const model::Service& service);
  [[nodiscard]] ServiceHealth::States take_unhealthy(const model::ObjectName& service);

  // From now on the table has this of the service, and nothing else.
  [[nodiscard]] Result<void> keep(const model::ObjectName& service, const Ejected& ejected,
                                  const ServiceHealth::States& unhealthy, kernel::ServiceTables& tables);
  // What an agent before left of services that are no more, or are not judged any more.
  [[nodiscard]] Result<void> drop_unclaimed(kernel::ServiceTables& tables);

 private:
  using Entries = std::map<std::string, std::string>;  // octets of the table

  Entries left_;                                               // by an agent before, and not kept since
  std::map<std::uint64_t, std::vector<std::string>> left_of_;  // keys of these, by owner
  std::map<model::ObjectName, Entries> kept_;
};

}  // namespace cortexflow
