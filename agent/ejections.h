// SPDX-License-Identifier: Apache-2.0
// Outlier ejection of all services whose policies wish it: the kernel's counters in, who is to be left out, and who is
// on probation, out.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/compile/service_book.h"
#include "agent/health/outlier.h"
#include "agent/kernel/service_tables.h"

namespace cortexflow {

class Ejections {
 public:
  using Time = health::OutlierDetector::Time;

  // No policy: the service's backends are not judged any more.
  void set_policy(const model::ObjectName& service, const std::optional<model::OutlierDetection>& policy);
  // The service has gone.
  void forget(const model::ObjectName& service);
  // As an agent before left that port of a service that has a policy.
  void adopt(const compile::PortKey& port, const health::OutlierDetector::Memories& memories);
  struct Changes {
    std::set<model::ObjectName> verdicts;  // who is left out, or on probation
    std::set<model::ObjectName> memories;
  };
  // Judges; gives the services about which something has changed.
  [[nodiscard]] Changes look(Time now, const compile::ServiceBook& book, const kernel::ServiceTables& tables);

  [[nodiscard]] std::map<compile::BackendPort, std::string> ejected(const model::ObjectName& service) const;
  [[nodiscard]] std::set<compile::BackendPort> probation(const model::ObjectName& service) const;
  [[nodiscard]] std::map<compile::PortKey, health::OutlierDetector::Memories> memories(
      const model::ObjectName& service) const;
  [[nodiscard]] health::OutlierFigures figures(const model::ObjectName& service) const;

 private:
  struct Service {
    model::OutlierDetection policy;
    std::map<compile::PortKey, health::OutlierDetector> ports;
  };
  void retire(const model::ObjectName& service, const health::OutlierDetector& detector);

  std::map<model::ObjectName, Service> services_;
  std::map<model::ObjectName, health::OutlierFigures> retired_;  // of ports that have gone, of services that have not
};

}  // namespace cortexflow
