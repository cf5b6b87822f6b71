// SPDX-License-Identifier: Apache-2.0
// Connections of each service, added up over its backends, so that a backend that goes takes nothing from the sums.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "agent/compile/service_book.h"
#include "agent/kernel/service_tables.h"
#include "agent/sink/service_metrics.h"

namespace cortexflow {

// The bounds of sink::ServiceMetrics, in seconds: of the kernel's buckets (bpf/abi/service.h).
[[nodiscard]] std::vector<double> connect_latency_bounds();

class ConnectionTotals {
 public:
  // The backend is about to be taken out of the tables.
  void retire(const model::ObjectName& service, std::uint32_t backend, const kernel::ServiceTables& tables);
  void forget(const model::ObjectName& service) { retired_.erase(service); }

  // By service.  Without what only ejection knows.
  [[nodiscard]] std::map<model::ObjectName, sink::ServiceFigures> read(const compile::ServiceBook& book,
                                                                       const kernel::ServiceTables& tables) const;

 private:
  std::map<model::ObjectName, sink::ServiceFigures> retired_;
};

}  // namespace cortexflow
