// SPDX-License-Identifier: Apache-2.0
#include "agent/http/server.h"

#include <sys/socket.h>

#include <chrono>

#include "agent/base/fd.h"
#include "agent/base/thread.h"
#include "agent/http/peer_stream.h"

namespace cortexflow::http {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kStartMax = 5s;

// httplib's way to the threads; it ends its queue, not them.
class Queue : public httplib::TaskQueue {
 public:
  explicit Queue(Workers& workers) : workers_(workers) {}
  void enqueue(std::function<void()> job) override { workers_.enqueue(std::move(job)); }
  void shutdown() override {}

 private:
  Workers& workers_;
};

}  // namespace

Server::Server() {
  // httplib's default sets SO_REUSEPORT, with which a second agent would silently get half of the connections.
  set_socket_options([this](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    listener_ = socket;
  });
}

Result<void> Server::serve(std::size_t connections) {
  auto workers = Workers::start(connections);
  if (!workers) return tl::make_unexpected(std::move(workers.error()));
  workers_ = std::move(*workers);
  new_task_queue = [this] { return new Queue(*workers_); };
  ::listen(listener_, kBacklog);
  auto accepts = start_thread([this] { listen_after_bind(); });
  if (!accepts) return tl::make_unexpected(std::move(accepts.error()));
  accepts_ = std::move(*accepts);
  // stop() does nothing before the thread has come to accept.
  for (auto waited = 0ms; !is_running() && waited < kStartMax; waited += 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void Server::end() {
  if (!accepts_.joinable()) return;
  stop();
  accepts_.join();
  workers_->finish(kAnswerMax);
}

bool Server::process_and_close_socket(socket_t socket) {
  const Fd owned(socket);
  PeerStream stream(socket, *workers_);
  bool closed = false;
  const bool done = process_request(stream, true, closed, nullptr);
  ::shutdown(socket, SHUT_RDWR);
  return done;
}

}  // namespace cortexflow::http
