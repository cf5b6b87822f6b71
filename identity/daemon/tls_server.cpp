// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/tls_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "agent/base/fd.h"
#include "agent/base/thread.h"
#include "identity/tls_connection.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;

constexpr int kListenBacklog = 128;
constexpr std::size_t kHeadMax = 1U << 16U;        // octets
constexpr std::chrono::milliseconds kEndMax = 1s;  // for requests on their way, when it ends

thread_local bool over_limit = false;  // this thread's connection is one too many
}  // namespace

// httplib's way to the threads; httplib's own queue has no end.
class TlsServer::Queue : public httplib::TaskQueue {
 public:
  explicit Queue(TlsServer& server) : server_(server) {}
  void enqueue(std::function<void()> job) override {
    if (++server_.connections_ > kConnectionsMax) {
      over_limit = true;
      job();
      over_limit = false;
      --server_.connections_;
      return;
    }
    // Not `this`: httplib lets go of it when it stops to accept, before the last connections have ended.
    server_.workers_->enqueue([&server = server_, job = std::move(job)] {
      job();
      --server.connections_;
    });
  }
  void shutdown() override {}  // of the connections, not of the threads

 private:
  TlsServer& server_;
};

class TlsServer::Stream : public httplib::Stream {
 public:
  Stream(TlsConnection& tls, int fd, std::size_t octets_max, std::function<bool(short)> wait)
      : tls_(tls), fd_(fd), octets_max_(octets_max), wait_(std::move(wait)) {}

  bool is_readable() const override { return tls_.has_read() || wait_(POLLIN); }
  bool is_writable() const override { return wait_(POLLOUT); }
  ssize_t read(char* to, std::size_t size) override {
    if (taken_ >= octets_max_) return -1;
    const auto got = tls_.read(to, size);
    if (got > 0) taken_ += static_cast<std::size_t>(got);
    return got;
  }
  ssize_t write(const char* from, std::size_t size) override { return tls_.write(from, size); }
  void get_remote_ip_and_port(std::string&, int&) const override {}  // nobody asks
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return fd_; }

 private:
  TlsConnection& tls_;
  int fd_;
  std::size_t octets_max_;  // of a request, which httplib does not see to where a body comes in chunks
  std::function<bool(short)> wait_;
  std::size_t taken_ = 0;
};

TlsServer::TlsServer(Certificate certificate, Settings settings)
    : certificate_(std::move(certificate)), settings_(std::move(settings)) {}

TlsServer::~TlsServer() { stop(); }

Result<void> TlsServer::start() {
  set_socket_options([this](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);  // but not SO_REUSEPORT: there is one
    listener_ = socket;
  });
  errno = 0;
  if (!bind_to_port(settings_.address, settings_.port)) {
    return fail_errno(fmt::format("cannot listen on {}:{}", settings_.address, settings_.port), errno,
                      "check " + settings_.setting);
  }
  auto workers = http::Workers::start(settings_.threads);
  if (!workers) return tl::make_unexpected(std::move(workers.error()));
  workers_ = std::move(*workers);
  new_task_queue = [this] { return new Queue(*this); };
  ::listen(listener_, kListenBacklog);
  auto accepts = start_thread([this] { listen_after_bind(); });
  if (!accepts) return tl::make_unexpected(std::move(accepts.error()));
  accepts_ = std::move(*accepts);
  // httplib's stop() does nothing before its thread has come to accept.
  for (auto left = 5000ms; !is_running() && left > 0ms; left -= 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void TlsServer::stop() {
  if (!accepts_.joinable()) return;
  Server::stop();
  accepts_.join();
  workers_->finish(kEndMax);
}

bool TlsServer::process_and_close_socket(socket_t socket) {
  const Fd owned(socket);
  const auto context = over_limit ? nullptr : certificate_();
  if (!context) {
    count(over_limit ? "full" : "no_certificate");
    return false;
  }
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
  const auto request_end = http::Workers::Clock::now() + kRequestMax;
  const auto wait = [this, socket, request_end](short events) {
    const auto end = events == POLLIN ? request_end : http::Workers::Clock::now() + kStallMax;
    return workers_->wait(socket, events, end);
  };
  TlsConnection tls(*context, socket, wait);
  if (!tls.accept()) {
    count("handshake");
    return false;
  }
  Stream stream(tls, socket, settings_.body_max + kHeadMax, wait);
  bool closed = false;
  const bool done = process_request(stream, true, closed, nullptr);
  if (done) ++requests_;
  tls.close();
  let_go(socket);
  return done;
}

// A peer that is still sending its body would lose the answer, were the socket closed with octets unread.
void TlsServer::let_go(int socket) {
  constexpr std::chrono::seconds kLingerMax{1};
  const auto end = http::Workers::Clock::now() + kLingerMax;
  std::array<char, 4096> unread{};
  ::shutdown(socket, SHUT_WR);
  while (workers_->wait(socket, POLLIN, end) && recv(socket, unread.data(), unread.size(), MSG_DONTWAIT) > 0) {
  }
}

void TlsServer::count(const std::string& why) {
  const std::lock_guard lock(mutex_);
  ++refused_[why];
}

TlsServer::Figures TlsServer::figures() const {
  const std::lock_guard lock(mutex_);
  return {connections_, requests_, refused_};
}

}  // namespace cortexflow::identity
