// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/list_server.h"

#include <sys/socket.h>

#include <thread>

#include "agent/base/fd.h"
#include "identity/daemon/timed_stream.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kListConnectionMax{30};  // a long list on a slow line
constexpr std::size_t kRequestMax = 1024;               // octets of a body, which nobody needs
constexpr std::string_view kSuffix = ".crl", kDeltaSuffix = "-delta.crl";

thread_local bool hanging_up = false;

}  // namespace

// httplib's own queue has no end.
class ListServer::Queue : public httplib::TaskQueue {
 public:
  explicit Queue(ListServer& server) : server_(server), pool_(kThreads) {}
  void enqueue(std::function<void()> job) override {
    if (server_.waiting_ >= kWaitingMax) {
      hanging_up = true;
      job();
      hanging_up = false;
      return;
    }
    ++server_.waiting_;
    pool_.enqueue([this, job = std::move(job)] {
      --server_.waiting_;
      job();
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  ListServer& server_;
  httplib::ThreadPool pool_;
};

ListServer::ListServer(Issuer& issuer, std::string address, std::uint16_t port)
    : issuer_(issuer), address_(std::move(address)), port_(port) {}

ListServer::~ListServer() { stop(); }

Result<void> ListServer::start() {
  new_task_queue = [this] { return new Queue(*this); };
  set_payload_max_length(kRequestMax);
  set_socket_options([this](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);  // but not SO_REUSEPORT: there is one
    listener_ = socket;
  });
  Get(R"(/([0-9a-f]+(-delta)?\.crl))",
      [this](const httplib::Request& request, httplib::Response& response) { serve(request.matches[1], response); });
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    response.set_content("there is no such revocation list\n", "text/plain");
  });
  errno = 0;
  if (!bind_to_port(address_, port_)) {
    return fail_errno(fmt::format("cannot listen on {}:{}", address_, port_), errno, "check crl_listen");
  }
  connections_.emplace(listener_);
  running_ = std::async(std::launch::async, [this] { listen_after_bind(); });
  // httplib's stop() does nothing before its thread has come to accept.
  for (auto left = 5000ms; !is_running() && left > 0ms; left -= 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void ListServer::stop() {
  if (!running_.valid()) return;
  Server::stop();
  for (auto wait = 1000ms; running_.wait_for(wait) != std::future_status::ready; wait = 20ms) connections_->shut();
  running_.get();
}

bool ListServer::process_and_close_socket(socket_t socket) {
  const Fd owned(socket);
  if (hanging_up) {
    ++refused_;
    return false;
  }
  TimedStream stream(socket, kListConnectionMax);
  bool closed = false;
  const bool done = process_request(stream, true, closed, nullptr);
  ::shutdown(socket, SHUT_RDWR);
  return done;
}

void ListServer::serve(const std::string& name, httplib::Response& response) {
  const bool delta = name.ends_with(kDeltaSuffix);
  const auto issuer = name.substr(0, name.size() - (delta ? kDeltaSuffix : kSuffix).size());
  const auto lists =
      issuer_.authorities()->find(issuer) == nullptr ? std::nullopt : std::optional(issuer_.lists(issuer));
  if (!lists || !*lists) {
    response.status = lists ? 503 : 404;
    ++unknown_;
    return;
  }
  ++served_;
  response.set_content(delta ? (*lists)->delta : (*lists)->complete, "application/pkix-crl");
}

}  // namespace cortexflow::identity
