// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::http {
class Server;
}

namespace cortexflow::sink {

// HTTP for Prometheus and for whoever watches the process:
//   /metrics  text format 0.0.4
//   /healthz  200 while the process runs
//   /readyz   200 or 503, by `ready`
// Slow peers can't keep the others out (agent/http/server.h).
class MetricsServer {
 public:
  // `address` is one to bind to, without brackets; port 0 takes a free one.  The collectables have to outlive the
  // server and, like `ready`, are asked from several threads.
  MetricsServer(std::string address, std::uint16_t port, std::vector<const prometheus::Collectable*> collectables,
                std::function<bool()> ready);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  ~MetricsServer();

  // Once.  Fails where it cannot listen; the error says why and what to do.
  Result<void> start();
  // Answers what has begun and stops; a peer that is slow about it is cut off.
  void stop();
  // That it listens on, after start().
  std::uint16_t port() const { return port_; }

 private:
  void add_routes();

  std::string address_;
  std::uint16_t port_;
  std::vector<const prometheus::Collectable*> collectables_;
  std::function<bool()> ready_;
  std::unique_ptr<http::Server> server_;  // null: it doesn't listen
};

}  // namespace cortexflow::sink
