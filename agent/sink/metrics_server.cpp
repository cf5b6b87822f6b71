// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/metrics_server.h"

#include <httplib.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <sstream>
#include <utility>

namespace cortexflow::sink {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 4;
constexpr time_t kTimeoutSeconds = 5;    // of a client that stops reading or writing
constexpr time_t kKeepAliveSeconds = 1;  // an idle connection holds a thread, and stop() waits for it
constexpr std::chrono::milliseconds kStartMax = 5s;
constexpr std::chrono::milliseconds kConnectionMax = 5s;
constexpr std::chrono::milliseconds kCutEvery = 1s;
constexpr std::chrono::milliseconds kAnswerMax = 1s;  // for requests on their way, when it ends
constexpr std::chrono::milliseconds kShutEvery = 20ms;

// httplib's default sets SO_REUSEPORT, with which a second agent would silently get half of the scrapes.
void socket_options(socket_t socket) {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

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
  server_ = std::make_unique<httplib::Server>();
  server_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server_->set_socket_options([this](socket_t socket) {
    socket_options(socket);
    listener_ = socket;
  });
  server_->set_read_timeout(kTimeoutSeconds);
  server_->set_write_timeout(kTimeoutSeconds);
  server_->set_keep_alive_timeout(kKeepAliveSeconds);
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
  connections_.emplace(listener_);
  served_ = std::async(std::launch::async, [this] { server_->listen_after_bind(); });
  // stop() does nothing before the thread has come to accept.
  for (auto waited = 0ms; !server_->is_running() && waited < kStartMax; waited += 1ms) std::this_thread::sleep_for(1ms);
  cutter_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any ended;
    for (std::unique_lock lock(mutex); !ended.wait_for(lock, stop, kCutEvery, [&] { return stop.stop_requested(); });)
      connections_->shut_older(kConnectionMax);
  });
  return {};
}

void MetricsServer::stop() {
  if (!served_.valid()) return;
  cutter_ = {};
  server_->stop();
  for (auto wait = kAnswerMax; served_.wait_for(wait) != std::future_status::ready; wait = kShutEvery)
    connections_->shut();
  served_.get();
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
    response.set_content(ready ? "ready\n" : "not ready: the agent is starting or draining\n", "text/plain");
  });
}

}  // namespace cortexflow::sink
