// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/api.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "agent/control/unix_socket.h"

namespace cortexflow::identity {
namespace {

constexpr std::chrono::seconds kAnswerMax{1};  // for requests on their way, when it ends
constexpr int kBacklog = 128;

}  // namespace

Api::Api(Issuer& issuer, std::string socket_path, std::string version)
    : socket_path_(std::move(socket_path)),
      routes_(issuer, std::move(version), [&issuer] { return issuer.principal_of(PeerServer::caller()); }) {}

Api::~Api() { stop(); }

Result<void> Api::start() {
  const control::SocketOwner owner{"control_socket", "cfidentity", "cfidentity"};
  if (auto claimed = control::claim_socket_path(socket_path_, owner); !claimed) return claimed;
  routes_.add_to(http_);
  routes_.add_operation_to(http_);
  http_.set_address_family(AF_UNIX);
  http_.new_task_queue = [] { return new httplib::ThreadPool(PeerServer::kThreads); };
  http_.set_socket_options([this](socket_t socket) { listener_ = socket; });
  const mode_t before = umask(0111);  // everybody may ask; who it is decides what they get
  const bool bound = http_.bind_to_port(socket_path_, 80);
  umask(before);
  if (!bound) return fail_errno(fmt::format("cannot listen on {}", socket_path_), errno, "check control_socket");
  ::listen(listener_, kBacklog);
  connections_.emplace(listener_);
  served_ = std::async(std::launch::async, [this] { http_.listen_after_bind(); });
  // httplib's stop() does nothing before its thread has come to accept.
  using namespace std::chrono_literals;
  for (auto left = 5000ms; !http_.is_running() && left > 0ms; left -= 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void Api::stop() {
  if (!served_.valid()) return;
  http_.stop();
  for (auto wait = std::chrono::milliseconds(kAnswerMax); served_.wait_for(wait) != std::future_status::ready;) {
    connections_->shut();
    wait = std::chrono::milliseconds(20);
  }
  served_.get();
  std::error_code ignored;
  std::filesystem::remove(socket_path_, ignored);
}

}  // namespace cortexflow::identity
