// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>

#include "identity/issuer.h"
#include "identity/workload/workload_api.h"

namespace cortexflow::identity {

class Metrics : public prometheus::Collectable {
 public:
  Metrics(const Issuer& issuer, const WorkloadApi& workload_api) : issuer_(issuer), workload_api_(workload_api) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Issuer& issuer_;
  const WorkloadApi& workload_api_;
};

}  // namespace cortexflow::identity
