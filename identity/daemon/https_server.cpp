// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/https_server.h"

#include <fcntl.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

#include <array>

#include "agent/base/fd.h"
#include "agent/base/thread.h"
#include "identity/daemon/name_template.h"
#include "identity/daemon/timed_stream.h"
#include "identity/tls_connection.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;

constexpr int kListenBacklog = 128;
constexpr std::chrono::milliseconds kEndMax = 1s;  // for requests on their way, when it ends

thread_local bool over_limit = false;            // this thread's connection is one too many
thread_local const Principal* showed = nullptr;  // the token of the request that this thread handles

Refusal refusal_of(const source::TokenReview& review, const std::string& audience) {
  using source::TokenResult;
  switch (review.result) {
    case TokenResult::kNoServiceAccount:
      return {403, {review.why, "show a service account's token"}};
    case TokenResult::kUnreachable:
    case TokenResult::kNotUnderstood:
      return {503, {"the token could not be reviewed: " + review.why, "try again; see the log of the API server"}};
    case TokenResult::kBusy:
      return {503, {review.why, "try again"}};
    default:
      return {401,
              {"the token is not taken: " + review.why,
               fmt::format("show a service account's token that has not expired, for the audience {}", audience)}};
  }
}

}  // namespace

// httplib's way to the threads; httplib's own queue has no end.
class HttpsServer::Queue : public httplib::TaskQueue {
 public:
  explicit Queue(HttpsServer& server) : server_(server) {}
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
  HttpsServer& server_;
};

class HttpsServer::Stream : public httplib::Stream {
 public:
  Stream(TlsConnection& tls, int fd, std::function<bool(short)> wait) : tls_(tls), fd_(fd), wait_(std::move(wait)) {}

  bool is_readable() const override { return tls_.has_read() || wait_(POLLIN); }
  bool is_writable() const override { return wait_(POLLOUT); }
  ssize_t read(char* to, std::size_t size) override {
    if (taken_ >= TimedStream::kRequestMax) return -1;
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
  std::function<bool(short)> wait_;
  std::size_t taken_ = 0;
};

HttpsServer::HttpsServer(Issuer& issuer, ServerCertificate& certificate, source::TokenReviewer& reviewer,
                         HttpsSettings settings, std::string version)
    : issuer_(issuer),
      certificate_(certificate),
      reviewer_(reviewer),
      settings_(std::move(settings)),
      routes_(issuer, std::move(version), [] { return *showed; }) {}

HttpsServer::~HttpsServer() { stop(); }

Result<void> HttpsServer::start() {
  routes_.add_to(*this, [this](const httplib::Request& request) { return admit(request); });
  set_socket_options([this](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);  // but not SO_REUSEPORT: there is one
    listener_ = socket;
  });
  errno = 0;
  if (!bind_to_port(settings_.address, settings_.port)) {
    return fail_errno(fmt::format("cannot listen on {}:{}", settings_.address, settings_.port), errno, "check listen");
  }
  auto workers = http::Workers::start(kThreads);
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

void HttpsServer::stop() {
  if (!accepts_.joinable()) return;
  Server::stop();
  accepts_.join();
  workers_->finish(kEndMax);
}

bool HttpsServer::process_and_close_socket(socket_t socket) {
  const Fd owned(socket);
  const auto context = over_limit ? nullptr : certificate_.current();
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
  Stream stream(tls, socket, wait);
  bool closed = false;
  const bool done = process_request(stream, true, closed, nullptr);
  showed = nullptr;
  if (done) ++requests_;
  tls.close();
  let_go(socket);
  return done;
}

// A peer that is still sending its body would lose the answer, were the socket closed with octets unread.
void HttpsServer::let_go(int socket) {
  constexpr std::chrono::seconds kLingerMax{1};
  const auto end = http::Workers::Clock::now() + kLingerMax;
  std::array<char, 4096> unread{};
  ::shutdown(socket, SHUT_WR);
  while (workers_->wait(socket, POLLIN, end) && recv(socket, unread.data(), unread.size(), MSG_DONTWAIT) > 0) {
  }
}

std::optional<Refusal> HttpsServer::admit(const httplib::Request& request) {
  constexpr std::string_view kScheme = "bearer ";  // in any case (RFC 9110, 11.1)
  const auto shown = request.get_header_value("Authorization");
  const bool once = request.get_header_value_count("Authorization") == 1;
  if (!once || shown.size() < kScheme.size() || strncasecmp(shown.c_str(), kScheme.data(), kScheme.size()) != 0) {
    count("no_token");
    return Refusal{401,
                   {"not one bearer token was shown",
                    fmt::format("send a service account's token for the audience {}: Authorization: Bearer TOKEN",
                                reviewer_.audience())}};
  }
  const auto review = reviewer_.review(shown.substr(kScheme.size()));
  if (review.result != source::TokenResult::kAuthenticated) return refusal_of(review, reviewer_.audience());
  thread_local Principal principal;
  principal = principal_of(review);
  showed = &principal;
  return std::nullopt;
}

Principal HttpsServer::principal_of(const source::TokenReview& review) const {
  Principal principal{fmt::format("service account {}/{}", review.account_namespace, review.account)};
  auto id = SpiffeId::parse(
      fmt::format("spiffe://{}/ns/{}/sa/{}", issuer_.policy().trust_domain, review.account_namespace, review.account));
  if (!id) return principal;
  std::vector<std::string> names;
  names.reserve(settings_.dns_names.size());
  for (const auto& name : settings_.dns_names) {
    names.push_back(fill_name(name, review.account_namespace, review.account));
  }
  principal.identities.push_back({std::move(*id), {}, {}, {}, std::move(names)});
  return principal;
}

void HttpsServer::count(const std::string& why) {
  const std::lock_guard lock(mutex_);
  ++refused_[why];
}

HttpsServer::Figures HttpsServer::figures() const {
  const std::lock_guard lock(mutex_);
  return {connections_, requests_, refused_};
}

}  // namespace cortexflow::identity
