// SPDX-License-Identifier: Apache-2.0
#include "agent/http/port_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>

#include "agent/base/thread.h"
#include "agent/http/peer_stream.h"
#include "agent/http/server.h"

namespace cortexflow::http {
namespace {

using namespace std::chrono_literals;

// A peer waits so long for being taken where the process or the machine has no more files.
constexpr std::chrono::milliseconds kNoFilesPause = 50ms;
constexpr std::uint32_t kEnd = 0;  // no port

Result<Fd> listener_at(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  const auto what = fmt::format("cannot listen on {}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", port);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int why = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); why != 0) {
    return fail("{}: {}", what, gai_strerror(why));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  Fd out(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out) return fail_errno(what, errno);
  const int yes = 1, no = 0;
  // No SO_REUSEPORT, with which another program would silently share the connections.
  setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (v6) setsockopt(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (bind(out.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(out.get(), kBacklog) != 0) {
    return fail_errno(what, errno);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<PortServer>> PortServer::start(std::size_t connections, Answer answer) {
  std::unique_ptr<PortServer> out(new PortServer(std::move(answer)));
  out->epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  out->ending_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = kEnd;
  if (!out->epoll_ || !out->ending_ || epoll_ctl(out->epoll_.get(), EPOLL_CTL_ADD, out->ending_.get(), &event) != 0) {
    return fail_errno("cannot wait for connections", errno);
  }
  auto workers = Workers::start(connections);
  if (!workers) return tl::make_unexpected(std::move(workers.error()));
  out->workers_ = std::move(*workers);
  auto accepts = start_thread([server = out.get()] { server->accept_all(); });
  if (!accepts) return tl::make_unexpected(std::move(accepts.error()));
  out->accepts_ = std::move(*accepts);
  return out;
}

PortServer::PortServer(Answer answer) : answer_(std::move(answer)) {
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    answer_(static_cast<std::uint16_t>(request.local_port), request, response);
    return HandlerResponse::Handled;
  });
}

Result<void> PortServer::open(const std::string& address, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  if (listeners_.contains(port)) return fail("port {} is open already", port);
  auto listener = listener_at(address, port);
  if (!listener) return tl::make_unexpected(std::move(listener.error()));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = port;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener->get(), &event) != 0) {
    return fail_errno(fmt::format("cannot wait for connections to port {}", port), errno);
  }
  listeners_[port] = std::move(*listener);
  return {};
}

void PortServer::close(std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(port);
  if (found == listeners_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.get(), nullptr);
  ::shutdown(found->second.get(), SHUT_RDWR);  // a child that is about to exec has it too
  listeners_.erase(found);
}

void PortServer::end() {
  if (!accepts_.joinable()) return;
  const std::uint64_t one = 1;
  (void)!write(ending_.get(), &one, sizeof one);
  accepts_.join();
  {
    const std::lock_guard lock(mutex_);
    listeners_.clear();
  }
  workers_->finish(kAnswerMax);
}

void PortServer::accept_all() {
  std::array<epoll_event, 16> ready{};
  while (true) {
    const int count = epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      const auto port = ready.at(static_cast<std::size_t>(i)).data.u32;
      if (port == kEnd) return;
      // All that wait there, as they came: the threads take the oldest for the one that has waited longest.
      for (int taken = 0; taken < kBacklog && accept_one(static_cast<std::uint16_t>(port)); ++taken) continue;
    }
  }
}

bool PortServer::accept_one(std::uint16_t port) {
  int peer = -1, why = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = listeners_.find(port);
    if (found == listeners_.end()) return false;
    peer = accept4(found->second.get(), nullptr, nullptr, SOCK_CLOEXEC);
    why = errno;
  }
  if (peer >= 0) {
    workers_->enqueue([this, peer, port] { serve(peer, port); });
    return true;
  }
  if (why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM) std::this_thread::sleep_for(kNoFilesPause);
  return false;
}

void PortServer::serve(int peer, std::uint16_t port) {
  const Fd owned(peer);
  PeerStream stream(peer, *workers_);
  bool closed = false;
  process_request(stream, true, closed, [port](httplib::Request& request) { request.local_port = port; });
  ::shutdown(peer, SHUT_RDWR);
}

}  // namespace cortexflow::http
