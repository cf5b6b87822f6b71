// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/service_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "agent/sink/families.h"

namespace cortexflow::sink {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

prometheus::Gauge& named_gauge(prometheus::Registry& registry) {
  return prometheus::BuildGauge()
      .Name("cortexflow_metric_label_values")
      .Help("Values in use of a label whose number of values is limited.")
      .Register(registry)
      .Add({{"label", "service"}});
}

prometheus::Counter& overflow_counter(prometheus::Registry& registry) {
  return prometheus::BuildCounter()
      .Name("cortexflow_metric_label_overflow_total")
      .Help("Times that a label's value was recorded as \"other\" because of its limit.")
      .Register(registry)
      .Add({{"label", "service"}});
}

void add(ServiceFigures& to, const ServiceFigures& more) {
  for (const auto& [result, count] : more.results) {
    const auto had =
        std::find_if(to.results.begin(), to.results.end(), [&](const auto& one) { return one.first == result; });
    if (had == to.results.end()) {
      to.results.emplace_back(result, count);
    } else {
      had->second += count;
    }
  }
  to.latency.resize(std::max(to.latency.size(), more.latency.size()));
  for (std::size_t i = 0; i < more.latency.size(); ++i) to.latency[i] += more.latency[i];
  to.latency_sum_us += more.latency_sum_us;
  to.active += more.active;
  to.pending += more.pending;
  to.ejections += more.ejections;
  to.spared += more.spared;
  to.ejected += more.ejected;
  to.refused += more.refused;
  to.breaker = to.breaker || more.breaker;
  to.breaker_open = to.breaker_open || more.breaker_open;
}

// Without what is only of the moment.
ServiceFigures counters_of(ServiceFigures service) {
  service.active = service.pending = service.ejected = 0;
  service.breaker = service.breaker_open = false;
  return service;
}

Labels labels_of(const ServiceFigures& service) { return {{"namespace", service.ns}, {"service", service.name}}; }

prometheus::ClientMetric::Histogram histogram_of(const ServiceFigures& service, const std::vector<double>& bounds) {
  prometheus::ClientMetric::Histogram out;
  out.sample_sum = static_cast<double>(service.latency_sum_us) * 1e-6;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    if (i < service.latency.size()) out.sample_count += service.latency[i];
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    out.bucket.push_back({out.sample_count, bound});
  }
  return out;
}

}  // namespace

ServiceMetrics::ServiceMetrics(prometheus::Registry& registry, std::function<std::vector<ServiceFigures>()> figures,
                               std::vector<double> bounds, std::size_t services)
    : figures_(std::move(figures)),
      bounds_(std::move(bounds)),
      max_(services),
      values_(named_gauge(registry)),
      overflow_(overflow_counter(registry)) {}

std::vector<ServiceFigures> ServiceMetrics::limited() const {
  std::vector<ServiceFigures> out;
  auto figures = figures_();
  const auto name_of = [](const ServiceFigures& service) { return service.ns + "/" + service.name; };
  const std::lock_guard lock(mutex_);
  std::set<std::string> there;
  for (const auto& service : figures) there.insert(name_of(service));
  std::erase_if(named_, [&](const auto& name) { return !there.contains(name); });  // their places are free again
  std::erase_if(others_, [&](const auto& one) {
    if (there.contains(one.first)) return false;
    add(gone_others_, counters_of(one.second));
    any_other_ = true;
    return true;
  });
  auto other = gone_others_;
  other.ns = other.name = "other";
  for (auto& service : figures) {
    const auto name = name_of(service);
    if (named_.size() < max_ && !others_.contains(name)) named_.insert(name);
    if (named_.contains(name)) {
      out.push_back(std::move(service));
      continue;
    }
    any_other_ = true;
    overflow_.Increment();
    add(other, service);
    others_[name] = std::move(service);
  }
  values_.Set(static_cast<double>(named_.size()));
  if (any_other_) out.push_back(std::move(other));
  return out;
}

std::vector<prometheus::MetricFamily> ServiceMetrics::Collect() const {
  const auto services = limited();
  if (services.empty()) return {};
  Families to;
  to.counter("cortexflow_service_connections_total",
             "TCP connections to a service's backends by how they went: refused, unreachable, timed_out, unsent, "
             "abandoned or established; and of the established ones ended, reset or broken.");
  for (const auto& service : services) {
    for (const auto& [result, count] : service.results) {
      auto labels = labels_of(service);
      labels.push_back({"result", std::string(result)});
      to.add(count, std::move(labels));
    }
  }
  to.histogram("cortexflow_service_connect_duration_seconds",
               "Time from the first SYN of a TCP connection to a service's backend until it was established.");
  for (const auto& service : services) to.add(histogram_of(service, bounds_), labels_of(service));
  to.gauge("cortexflow_service_active_connections", "Live connections to a service's backends.");
  for (const auto& service : services) to.add(service.active, labels_of(service));
  to.gauge("cortexflow_service_pending_connections",
           "TCP connections to a service that are not established yet; counted where there is a limit.");
  for (const auto& service : services) to.add(service.pending, labels_of(service));
  to.counter("cortexflow_service_ejections_total", "Backends ejected because connections to them failed.");
  for (const auto& service : services) to.add(service.ejections, labels_of(service));
  to.counter("cortexflow_service_ejections_spared_total",
             "Backends not ejected because maxEjectionPercent of the service's were.");
  for (const auto& service : services) to.add(service.spared, labels_of(service));
  to.gauge("cortexflow_service_ejected_backends", "Backends that are ejected now.");
  for (const auto& service : services) to.add(service.ejected, labels_of(service));
  to.counter("cortexflow_service_breaker_refused_total", "Connections refused by a service's circuit breaker.");
  for (const auto& service : services) to.add(service.refused, labels_of(service));
  to.gauge("service_mesh_circuit_breaker_open", "1 while a service's circuit breaker refuses connections.");
  for (const auto& service : services) {
    if (service.breaker) to.add(std::uint64_t{service.breaker_open}, labels_of(service));
  }
  return to.take();
}

}  // namespace cortexflow::sink
