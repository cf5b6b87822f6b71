// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>

#include "identity/issuer.h"

namespace cortexflow::identity {

class Metrics : public prometheus::Collectable {
 public:
  explicit Metrics(const Issuer& issuer) : issuer_(issuer) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Issuer& issuer_;
};

}  // namespace cortexflow::identity
