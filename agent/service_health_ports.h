// SPDX-License-Identifier: Apache-2.0
// Where load balancers ask this node, in kube-proxy's place: services' healthCheckNodePorts
// (services.health_check_listen), and the node's own /healthz (services.proxy_health_listen).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/health_ports.h"
#include "agent/control/node_view.h"
#include "agent/http/port_server.h"
#include "agent/sink/agent_metrics.h"
#include "agent/source/settings.h"

namespace cortexflow {

// In any thread.
class ServiceHealthPorts {
 public:
  using Clock = std::chrono::steady_clock;
  using Plans = compile::HealthPortBook::Plans;

  explicit ServiceHealthPorts(const source::Settings& settings);
  ServiceHealthPorts(const ServiceHealthPorts&) = delete;
  ServiceHealthPorts& operator=(const ServiceHealthPorts&) = delete;

  // Services' ports are served; else only the node's own.
  [[nodiscard]] bool serves_services() const { return !address_.empty(); }
  // New plans of these services.  Nothing is listened on before start().
  void update(const Plans& changed);
  [[nodiscard]] Result<void> start();
  // The event loop comes round: `unwell` says why this node takes nobody from outside; empty: it does.  Ports that
  // could not be had are tried again.
  void tick(std::string unwell);
  // Of ports that can't be had, said once each.
  [[nodiscard]] std::vector<Error> take_errors();

  [[nodiscard]] std::vector<std::string> problems(const model::ObjectName& service) const;
  [[nodiscard]] std::vector<std::string> refusals() const;  // of all services, as they are not used
  [[nodiscard]] control::FunctionStatus function() const;
  [[nodiscard]] sink::HealthPortFigures figures() const;

 private:
  void open_and_close();
  void open(std::uint16_t port);
  void answer(std::uint16_t port, const httplib::Request& request, httplib::Response& response);
  [[nodiscard]] std::string why_unwell() const;

  std::string address_;                           // of services' ports; empty: none are served
  std::optional<source::ListenAddress> of_node_;  // none: not served

  mutable std::mutex mutex_;  // all below
  compile::HealthPortBook book_;
  std::map<std::uint16_t, std::string> listened_;  // those that are wished for, with why they can't be had
  std::vector<Error> errors_;
  std::string unwell_ = "starting";
  Clock::time_point came_round_{};
  std::chrono::system_clock::time_point updated_{};
  Clock::time_point next_try_{};
  std::map<std::pair<std::string, std::string>, std::uint64_t> requests_;  // by whose port, and status

  std::unique_ptr<http::PortServer> server_;  // the last: its threads look at all above; null: not started
};

}  // namespace cortexflow
