// SPDX-License-Identifier: Apache-2.0
#include "agent/control/server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "agent/control/unix_socket.h"

namespace cortexflow::control {
namespace {

constexpr std::size_t kShortCallThreads = 4;  // beside the watchers', so that these can't starve a status call
constexpr std::size_t kBodyMax = 1U << 20U;   // weights of thousands of backends
constexpr std::chrono::seconds kDrainMax{3};
constexpr std::chrono::seconds kAnswerMax{1};  // for requests on their way, when it ends
constexpr int kBacklog = 128;                  // httplib's 5 are too few for a burst of clients

}  // namespace

Server::Server(const NodeView& node, ServiceOperator& services, std::string socket_path, std::string group,
               DenyOperator* deny)
    : node_(node),
      services_(services),
      deny_(deny),
      socket_path_(std::move(socket_path)),
      group_(std::move(group)),
      http_(std::make_unique<httplib::Server>()) {}

Server::~Server() { stop(); }

Result<void> Server::start() {
  if (auto claimed = claim_socket_path(socket_path_); !claimed) return claimed;
  add_routes();
  http_->set_address_family(AF_UNIX);
  http_->set_keep_alive_max_count(1);  // a watcher's thread is free again when it goes
  http_->set_payload_max_length(kBodyMax);
  http_->new_task_queue = [] { return new httplib::ThreadPool(kWatchersMax + kShortCallThreads); };
  http_->set_socket_options([this](socket_t socket) { listener_ = socket; });
  const mode_t before = umask(0117);
  const bool bound = http_->bind_to_port(socket_path_, 80);
  umask(before);
  if (!bound) return fail_errno(fmt::format("cannot listen on {}", socket_path_), errno, "check --control-socket");
  share_socket(socket_path_, group_);
  ::listen(listener_, kBacklog);
  connections_.emplace(listener_);
  served_ = std::async(std::launch::async, [this] { http_->listen_after_bind(); });
  // httplib's stop() does nothing before its thread has come to accept.
  using namespace std::chrono_literals;
  for (auto left = 5000ms; !http_->is_running() && left > 0ms; left -= 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void Server::stop() {
  if (!served_.valid()) return;
  {
    // The server cuts its streams off when it stops; those that read get their summary first.
    std::unique_lock lock(watchers_mutex_);
    watcher_left_.wait_for(lock, kDrainMax, [this] { return watchers_ == 0; });
  }
  http_->stop();
  // No peer holds up the end.
  for (auto wait = std::chrono::milliseconds(kAnswerMax); served_.wait_for(wait) != std::future_status::ready;) {
    connections_->shut();
    wait = std::chrono::milliseconds(20);
  }
  served_.get();
  std::error_code ignored;
  std::filesystem::remove(socket_path_, ignored);
}

bool Server::watcher_enters() {
  const std::lock_guard lock(watchers_mutex_);
  if (watchers_ >= kWatchersMax) return false;
  ++watchers_;
  return true;
}

void Server::watcher_leaves() {
  const std::lock_guard lock(watchers_mutex_);
  --watchers_;
  watcher_left_.notify_all();
}

}  // namespace cortexflow::control
