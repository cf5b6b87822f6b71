// SPDX-License-Identifier: Apache-2.0
#include "agent/service_health_ports.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/sink/balancer_answers.h"

namespace cortexflow {
namespace {

using std::chrono::system_clock;

constexpr std::size_t kConnections = 16;  // as the metrics' server, for the same reason
constexpr std::chrono::seconds kTryEvery{5};
// The event loop comes round five times a second; kube-proxy's own patience is twice its sync period of 30 s.
constexpr std::chrono::seconds kStuckAfter{60};
constexpr std::size_t kShown = 8;
constexpr const char* kWhoHasIt = "kube-proxy, or another program, may have it: it is tried again every 5 s";

std::uint16_t port_of(const std::optional<source::ListenAddress>& listen) { return listen ? listen->port : 0; }

}  // namespace

ServiceHealthPorts::ServiceHealthPorts(const source::Settings& settings)
    : address_(settings.health_check_listen),
      of_node_(settings.proxy_health_listen),
      book_(port_of(settings.proxy_health_listen)) {}

Result<void> ServiceHealthPorts::start() {
  auto server =
      http::PortServer::start(kConnections, [this](std::uint16_t port, const httplib::Request& request,
                                                   httplib::Response& response) { answer(port, request, response); });
  if (!server) return tl::make_unexpected(std::move(server.error()));
  const std::lock_guard lock(mutex_);
  server_ = std::move(*server);
  if (of_node_) open(of_node_->port);
  open_and_close();
  next_try_ = Clock::now() + kTryEvery;
  return {};
}

void ServiceHealthPorts::update(const Plans& changed) {
  const std::lock_guard lock(mutex_);
  book_.update(changed);
  open_and_close();
}

void ServiceHealthPorts::open_and_close() {
  if (!server_) return;
  std::erase_if(listened_, [this](const auto& one) {
    const bool stays = book_.ports().contains(one.first) || one.first == port_of(of_node_);
    if (!stays) server_->close(one.first);
    return !stays;
  });
  for (const auto& [port, holder] : book_.ports()) {
    if (!listened_.contains(port)) open(port);
  }
}

void ServiceHealthPorts::open(std::uint16_t port) {
  auto opened = server_->open(port == port_of(of_node_) ? of_node_->address : address_, port);
  const auto had = listened_.find(port);
  if (opened) {
    if (had != listened_.end()) spdlog::info("services: load balancers are answered on port {} now", port);
    listened_[port].clear();
    return;
  }
  if (opened.error().next_step.empty()) opened.error().next_step = kWhoHasIt;
  const bool said = had != listened_.end() && had->second == opened.error().message;
  listened_[port] = opened.error().message;
  if (!said) errors_.push_back(std::move(opened.error()));
}

void ServiceHealthPorts::tick(std::string unwell) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  unwell_ = std::move(unwell);
  came_round_ = now;
  updated_ = system_clock::now();
  if (!server_ || now < next_try_) return;
  next_try_ = now + kTryEvery;
  std::vector<std::uint16_t> again;
  for (const auto& [port, failure] : listened_) {
    if (!failure.empty()) again.push_back(port);
  }
  for (const auto port : again) open(port);
}

std::vector<Error> ServiceHealthPorts::take_errors() {
  const std::lock_guard lock(mutex_);
  return std::exchange(errors_, {});
}

std::string ServiceHealthPorts::why_unwell() const {
  if (!unwell_.empty() || Clock::now() - came_round_ < kStuckAfter) return unwell_;
  return fmt::format("the event loop has not come round for {} s", kStuckAfter.count());
}

void ServiceHealthPorts::answer(std::uint16_t port, const httplib::Request& request, httplib::Response& response) {
  const std::lock_guard lock(mutex_);
  const bool healthy = why_unwell().empty();
  const bool of_node = port == port_of(of_node_);
  if (of_node) {
    sink::answer_for_node(request.path, updated_, system_clock::now(), healthy, response);
  } else if (const auto held = book_.ports().find(port); held != book_.ports().end()) {
    sink::answer_for_service(held->second.service, held->second.endpoints, healthy, response);
  } else {  // its service has gone meanwhile
    response.status = 503;
  }
  ++requests_[{of_node ? "node" : "service", std::to_string(response.status)}];
}

std::vector<std::string> ServiceHealthPorts::problems(const model::ObjectName& service) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  if (const auto refused = book_.refusals().find(service); refused != book_.refusals().end()) {
    out.push_back("health check node port is not served: " + refused->second);
  }
  for (const auto& [port, holder] : book_.ports()) {
    if (holder.service != service) continue;
    const auto listened = listened_.find(port);
    if (listened == listened_.end() || listened->second.empty()) continue;
    out.push_back(fmt::format("health check node port: {}", listened->second));
  }
  return out;
}

std::vector<std::string> ServiceHealthPorts::refusals() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, why] : book_.refusals()) {
    out.push_back(fmt::format("Service {}/{}: its healthCheckNodePort is not served: {}", name.ns, name.name, why));
  }
  return out;
}

control::FunctionStatus ServiceHealthPorts::function() const {
  const std::lock_guard lock(mutex_);
  control::FunctionStatus out{"health check ports", server_ ? "http" : "", false, ""};
  std::vector<std::string> words, failures;
  std::size_t served = 0;
  for (const auto& [port, failure] : listened_) {
    if (!failure.empty()) failures.push_back(failure);
    if (failure.empty() && port != port_of(of_node_)) ++served;
  }
  if (serves_services()) words.push_back(fmt::format("{} of services on {}", served, address_));
  if (of_node_) words.push_back(fmt::format("/healthz on port {}", of_node_->port));
  const auto unwell = why_unwell();
  if (!unwell.empty()) words.push_back("503 is answered: " + unwell);
  const auto refused = book_.refusals().size();
  if (refused > 0) words.push_back(fmt::format("{} services' are not served, see cfcli service list", refused));
  out.degraded = !failures.empty() || refused > 0 || !unwell.empty();
  for (std::size_t i = 0; i < std::min(failures.size(), kShown); ++i) words.push_back(failures[i]);
  if (failures.size() > kShown) words.push_back(fmt::format("{} more can't be had", failures.size() - kShown));
  out.detail = fmt::format("{}", fmt::join(words, "; "));
  return out;
}

sink::HealthPortFigures ServiceHealthPorts::figures() const {
  const std::lock_guard lock(mutex_);
  sink::HealthPortFigures out;
  out.states = {{"serving", 0}, {"failed", 0}, {"refused", book_.refusals().size()}};
  for (const auto& [port, holder] : book_.ports()) {
    const auto listened = listened_.find(port);
    ++out.states[listened != listened_.end() && listened->second.empty() ? "serving" : "failed"];
  }
  out.max = compile::kHealthPortsMax;
  out.requests = requests_;
  return out;
}

}  // namespace cortexflow
