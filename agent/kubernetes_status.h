// SPDX-License-Identifier: Apache-2.0
// What is shown of the API server that is followed.
#pragma once

#include <chrono>
#include <optional>

#include "agent/control/node_view.h"
#include "agent/sink/kubernetes_metrics.h"
#include "agent/source/kubernetes/kubernetes_source.h"

namespace cortexflow {

[[nodiscard]] control::FunctionStatus kubernetes_function(const source::KubernetesSource& kubernetes);
// How long ago it was heard; none: not yet.
[[nodiscard]] std::optional<std::chrono::duration<double>> kubernetes_heard(const source::KubernetesSource& kubernetes);
[[nodiscard]] sink::KubernetesFigures kubernetes_figures(const source::KubernetesSource& kubernetes);

}  // namespace cortexflow
