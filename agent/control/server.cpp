// SPDX-License-Identifier: Apache-2.0
#include "agent/control/server.h"

#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "agent/control/unix_socket.h"
#include "agent/http/server.h"

namespace cortexflow::control {
namespace {

constexpr std::size_t kShortCallThreads = 4;  // beside the watchers', so that these can't starve a status call
constexpr std::size_t kBodyMax = 1U << 20U;   // weights of thousands of backends
constexpr std::chrono::seconds kDrainMax{3};

}  // namespace

Server::Server(const NodeView& node, ServiceOperator& services, std::string socket_path, std::string group,
               DenyOperator* deny, PolicyOperator* policies)
    : node_(node),
      services_(services),
      deny_(deny),
      policies_(policies),
      socket_path_(std::move(socket_path)),
      group_(std::move(group)),
      http_(std::make_unique<http::Server>()) {}

Server::~Server() { stop(); }

Result<void> Server::start() {
  if (auto claimed = claim_socket_path(socket_path_); !claimed) return claimed;
  add_routes();
  http_->set_address_family(AF_UNIX);
  http_->set_payload_max_length(kBodyMax);
  const mode_t before = umask(0117);
  const bool bound = http_->bind_to_port(socket_path_, 80);
  umask(before);
  if (!bound) return fail_errno(fmt::format("cannot listen on {}", socket_path_), errno, "check --control-socket");
  share_socket(socket_path_, group_);
  if (auto serves = http_->serve(kWatchersMax + kShortCallThreads); !serves) {
    std::error_code ignored;
    std::filesystem::remove(socket_path_, ignored);
    return serves;
  }
  serves_ = true;
  return {};
}

void Server::stop() {
  if (!serves_) return;
  serves_ = false;
  {
    // The server cuts its streams off when it stops; those that read get their summary first.
    std::unique_lock lock(watchers_mutex_);
    watcher_left_.wait_for(lock, kDrainMax, [this] { return watchers_ == 0; });
  }
  http_->end();
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
