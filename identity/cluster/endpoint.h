// SPDX-License-Identifier: Apache-2.0
// Where the one that leads is reached: the Endpoints of a Service that selects no pods.  Kubernetes mirrors them into
// EndpointSlices.  Other than a label on the leader's pod, they can be granted by name.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "identity/cluster/api_object.h"

namespace cortexflow::identity {

class Endpoint {
 public:
  using Ports = std::vector<std::pair<std::string, std::uint16_t>>;  // by the names of the Service's

  // `calls` has to outlive it.
  Endpoint(source::ApiCalls& calls, const std::string& name_space, std::string service, std::string address,
           Ports ports);

  // In place of whoever was there.
  [[nodiscard]] Result<void> announce();
  // Nobody, unless another was announced since.
  void withdraw();

 private:
  const ApiObjects endpoints_;
  const std::string service_, address_;
  const Ports ports_;
  std::string version_;  // as this one wrote it; empty: it did not
};

}  // namespace cortexflow::identity
