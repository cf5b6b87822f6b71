// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/model/service.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

// A TrafficPolicy's spec.outlierDetection, which is present.
[[nodiscard]] model::OutlierDetection read_outlier_detection(const Field& field);

}  // namespace cortexflow::source
