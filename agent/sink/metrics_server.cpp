// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/metrics_server.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cerrno>
#include <iterator>
#include <sstream>
#include <utility>

#include "agent/http/server.h"

namespace cortexflow::sink {
namespace {

constexpr std::size_t kConnections = 16;  // as many newer ones end one that waits: too many to come within a request

tl::unexpected<Error> cannot_listen(const std::string& address, std::uint16_t port, int errno_value) {
  const bool v6 = address.find(':') != std::string::npos;
  const std::string what = fmt::format("cannot listen on {}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", port);
  switch (errno_value) {
    case EADDRINUSE:
      return tl::make_unexpected(
          Error{what + ": address in use", "another agent or exporter has it: stop that, or set --metrics-listen"});
    case EADDRNOTAVAIL:
      return fail_errno(what, errno_value, "no interface of this host has that address: set --metrics-listen");
    case EACCES:
      return fail_errno(what, errno_value, "ports below 1024 need CAP_NET_BIND_SERVICE: set --metrics-listen");
    case 0:
      return tl::make_unexpected(Error{what + ": no such address", "set --metrics-listen to ADDRESS:PORT"});
    default:
      return fail_errno(what, errno_value);
  }
}

}  // namespace

MetricsServer::MetricsServer(std::string address, std::uint16_t port,
                             std::vector<const prometheus::Collectable*> collectables, std::function<bool()> ready)
    : address_(std::move(address)), port_(port), collectables_(std::move(collectables)), ready_(std::move(ready)) {}

MetricsServer::~MetricsServer() { stop(); }

Result<void> MetricsServer::start() {
  server_ = std::make_unique<http::Server>();
  add_routes();

  errno = 0;
  const int bound =
      port_ == 0 ? server_->bind_to_any_port(address_) : (server_->bind_to_port(address_, port_) ? port_ : -1);
  if (bound < 0) {
    const int errno_value = errno;
    server_.reset();
    return cannot_listen(address_, port_, errno_value);
  }
  port_ = static_cast<std::uint16_t>(bound);
  if (auto serves = server_->serve(kConnections); !serves) {
    server_.reset();
    return serves;
  }
  return {};
}

void MetricsServer::stop() {
  if (!server_) return;
  server_->end();
  server_.reset();
}

void MetricsServer::add_routes() {
  server_->Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    std::vector<prometheus::MetricFamily> families;
    for (const auto* collectable : collectables_) {
      auto collected = collectable->Collect();
      std::move(collected.begin(), collected.end(), std::back_inserter(families));
    }
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families);
    response.set_content(text.str(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server_->Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  server_->Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
    const bool ready = ready_();
    response.status = ready ? 200 : 503;
    response.set_content(
        ready ? "ready\n" : "not ready: starting or draining, or the cluster's state is not known yet\n", "text/plain");
  });
}

}  // namespace cortexflow::sink
