// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/kubernetes_metrics.h"

#include "agent/sink/families.h"

namespace cortexflow::sink {

std::vector<prometheus::MetricFamily> KubernetesMetrics::Collect() const {
  const auto figures = figures_();
  if (!figures) return {};
  Families families;
  families
      .gauge("cortexflow_kubernetes_synced", "1 once all that the API server has was here, since the agent's start.")
      .add(figures->synced ? 1.0 : 0.0);
  families
      .gauge("cortexflow_kubernetes_state_age_seconds",
             "Since the API server was heard last, for the kind that was heard longest ago; it speaks once a minute.")
      .add(figures->state_age_s);
  const auto each = [&](std::uint64_t KubernetesFigures::Kind::* figure) {
    for (const auto& kind : figures->kinds) families.add(kind.*figure, {{"kind", kind.name}});
  };
  using Kind = KubernetesFigures::Kind;
  families.gauge("cortexflow_kubernetes_objects", "Objects that the API server has, by kind.");
  each(&Kind::objects);
  families.counter("cortexflow_kubernetes_events_total", "Changes that the API server told.");
  each(&Kind::events);
  families.counter("cortexflow_kubernetes_lists_total", "Whole lists taken.");
  each(&Kind::lists);
  families.counter("cortexflow_kubernetes_gone_total",
                   "Times that the server no longer had what came in between (410).");
  each(&Kind::gone);
  families.counter("cortexflow_kubernetes_failures_total", "Lists and watches that failed.");
  each(&Kind::failures);
  families.counter("cortexflow_kubernetes_received_bytes_total", "Octets of lists and watches, decompressed.");
  each(&Kind::octets);
  families.gauge("cortexflow_kubernetes_in_trouble", "1 for a kind whose latest list or watch failed.");
  for (const auto& kind : figures->kinds) families.add(kind.in_trouble ? 1.0 : 0.0, {{"kind", kind.name}});
  return families.take();
}

}  // namespace cortexflow::sink
