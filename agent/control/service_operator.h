// SPDX-License-Identifier: Apache-2.0
// What an operator may do to services while they run, and ask of them.  Over the Unix socket alone: whoever may write
// to it may do this.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/explanation.h"

namespace cortexflow::control {

struct Refused {
  int status = 0;  // HTTP's: 400 wrong, 404 unknown, 500 failed, 507 full
  Error error;
};
template <typename T>
using Answer = tl::expected<T, Refused>;
using Done = Answer<void>;

// `service` is NAMESPACE/NAME.  Thread-safe; done means that it is on disk and in the kernel.
class ServiceOperator {
 public:
  virtual ~ServiceOperator() = default;
  // Of subsets and backends; those that are not named keep theirs.
  virtual Done set_weights(const std::string& service,
                           const std::vector<std::pair<std::string, std::uint32_t>>& weights) = 0;
  virtual Done reset_weights(const std::string& service) = 0;
  virtual Done set_drained(const std::string& service, const std::string& backend, bool drained) = 0;
  // From the kernel's tables as they are; nothing is changed.
  [[nodiscard]] virtual Answer<std::vector<SimulatedPort>> simulate(const SimulationQuery& query) const = 0;
  // What a call of `caller` to `target` meets (agent/service_explain.h has the spellings).
  [[nodiscard]] virtual Answer<Explanation> explain(const std::string& caller, const std::string& target) const = 0;
};

}  // namespace cortexflow::control
