// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/model/service.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

// A TrafficPolicy's spec.health.
void read_health(const Field& field, model::TrafficPolicy& policy);

}  // namespace cortexflow::source
