// SPDX-License-Identifier: Apache-2.0
// Connections of each service, added up over its ports and backends, so that what goes takes nothing from the sums.
//
// The counts of a backend that goes stay in the kernel's table as long as it has live connections, whose ends are
// counted there; then, and with a service port at once, they are added to what is kept of the service.  That is kept
// while there is the service.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "agent/compile/service_book.h"
#include "agent/kernel/service_tables.h"
#include "agent/sink/service_metrics.h"

namespace cortexflow {

// The bounds of sink::ServiceMetrics, in seconds: of the kernel's buckets (bpf/abi/service.h).
[[nodiscard]] std::vector<double> connect_latency_bounds();

class ConnectionTotals {
 public:
  // Backends that have gone with live connections; when there are more, the ends of the longest known are not counted.
  static constexpr std::size_t kLingeringMax = 16'384;

  struct BackendOf {
    model::ObjectName service;
    std::uint32_t port = 0;  // number of the service port
  };
  // What services have in the tables, by number.
  struct Placed {
    std::map<std::uint32_t, model::ObjectName> ports;
    std::map<std::uint32_t, BackendOf> backends;
  };
  [[nodiscard]] static Placed placed(const compile::ServiceBook& book, const std::set<model::ObjectName>& services);

  // What is in `before` and not in `after` is about to be taken out of the tables; but the counts of what lingers() is
  // to stay there.
  void retire(const Placed& before, const Placed& after, const compile::ServiceBook& book,
              kernel::ServiceTables& tables);
  [[nodiscard]] bool lingers(std::uint32_t backend) const { return lingering_.contains(backend); }
  [[nodiscard]] std::size_t lingering() const { return lingering_.size(); }
  // Takes some out of those whose last connection has ended.
  void sweep(kernel::ServiceTables& tables);
  // The service has gone.
  void forget(const model::ObjectName& service, kernel::ServiceTables& tables);

  // By service.  Without what only ejection knows.
  [[nodiscard]] std::map<model::ObjectName, sink::ServiceFigures> read(const compile::ServiceBook& book,
                                                                       const kernel::ServiceTables& tables) const;

 private:
  struct Lingering {
    BackendOf of;
    bool quiet = false;  // had no live connection when it was looked at last
  };
  using LingeringBackends = std::map<std::uint32_t, Lingering>;  // by number: those that are known longest come first
  LingeringBackends::iterator end(LingeringBackends::iterator at, const cf_backend_load& load,
                                  kernel::ServiceTables& tables);

  std::map<model::ObjectName, sink::ServiceFigures> retired_;
  LingeringBackends lingering_;
  std::uint32_t swept_ = 0;  // up to that number
};

}  // namespace cortexflow
