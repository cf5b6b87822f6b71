// SPDX-License-Identifier: Apache-2.0
// Which backends of which services are checked, and what that says of them.  Not synchronised; what asks the backends
// has a thread of its own (health/checker.h).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/avoided.h"
#include "agent/control/service_view.h"
#include "agent/health/checker.h"

namespace cortexflow {

class ServiceHealth {
 public:
  struct Key {
    model::ObjectName service;
    compile::BackendPort backend;
  };

  [[nodiscard]] static Result<ServiceHealth> open(std::size_t checks_in_flight);

  using States = std::map<compile::BackendPort, health::TargetState>;

  // From now on these backends of the service are checked in that way, and no others of it.  A backend that was checked
  // in another way goes on as what it counted as, and one that is new as an agent before `left` it.
  void set(const model::ObjectName& service, const std::optional<model::HealthCheck>& check,
           const std::vector<compile::BackendPort>& backends, const States& left = {});

  [[nodiscard]] int fd() const { return checker_->fd(); }
  // Services with backends that have become unhealthy, or healthy after that, since the last call.
  [[nodiscard]] std::set<model::ObjectName> take_changed();
  [[nodiscard]] States unhealthy(const model::ObjectName& service) const;
  // The same backends, each with its latest result in words.
  [[nodiscard]] std::map<compile::BackendPort, std::string> reasons(const model::ObjectName& service) const;

  [[nodiscard]] std::size_t refused() const;
  void show(const Key& key, control::BackendRow& row) const;
  [[nodiscard]] health::Figures figures() const { return checker_->figures(); }

 private:
  using Targets = std::map<compile::BackendPort, health::Target>;

  explicit ServiceHealth(std::unique_ptr<health::Checker> checker) : checker_(std::move(checker)) {}

  std::unique_ptr<health::Checker> checker_;
  std::map<model::ObjectName, Targets> targets_;
  std::map<health::Target, std::multiset<model::ObjectName>> services_;  // once for each of its backends that it is for
  // The checker had no room for them; tried again when their service changes.
  std::map<model::ObjectName, std::set<compile::BackendPort>> refused_;
};

}  // namespace cortexflow
