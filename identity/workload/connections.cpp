// SPDX-License-Identifier: Apache-2.0
// WorkloadApi's connections: taken, read, written, let go.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>

#include "identity/workload/workload_api.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kIdleMax = 60s;   // of a connection without a standing call
constexpr std::chrono::seconds kStallMax = 30s;  // of a peer that doesn't take what is sent
constexpr std::chrono::milliseconds kDrainMax = 1s;
constexpr std::size_t kReadSize = 16'384;

}  // namespace

void WorkloadApi::accept_all() {
  while (true) {
    Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
      // No descriptors or no memory: the next sweep tries again.
      epoll_event none{0, {.u64 = 0}};
      epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &none);
      accepting_ = false;
      return count([](WorkloadFigures& figures) { ++figures.refused["connections"]; });
    }
    auto caller = caller_of(fd.get());
    if (!caller || !make_room(caller->uid)) {
      count([](WorkloadFigures& figures) { ++figures.refused["connections"]; });
      continue;
    }
    const auto id = next_id_++;
    epoll_event readable{EPOLLIN, {.u64 = id}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &readable) != 0) continue;
    ++users_[caller->uid];
    auto& connection = connections_[id];
    connection.fd = std::move(fd);
    connection.caller = std::move(*caller);
    connection.active = connection.idle_since = Clock::now();
    count([this](WorkloadFigures& figures) { figures.connections = connections_.size(); });
    pump_or_drop(id);
  }
}

// Whoever asks for nothing keeps nobody out.
bool WorkloadApi::make_room(uid_t user) {
  const auto known = users_.find(user);
  const bool user_full = known != users_.end() && known->second >= limits_.connections_per_user;
  if (!user_full && connections_.size() < limits_.connections) return true;
  auto oldest = connections_.end();
  for (auto one = connections_.begin(); one != connections_.end(); ++one) {
    const auto& [id, connection] = *one;
    if (!connection.watches.empty() || (user_full && connection.caller.uid != user)) continue;
    if (oldest == connections_.end() || connection.idle_since < oldest->second.idle_since) oldest = one;
  }
  if (oldest == connections_.end()) return false;
  drop(oldest->first);
  count([](WorkloadFigures& figures) { ++figures.refused["connections"]; });
  return true;
}

void WorkloadApi::serve(std::uint64_t id, std::uint32_t events) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  auto& connection = found->second;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !receive(connection)) return drop(id);
  pump_or_drop(id);
}

bool WorkloadApi::receive(Connection& connection) {
  std::array<char, kReadSize> buffer;
  const auto got = recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  if (!connection.session.receive({buffer.data(), static_cast<std::size_t>(got)})) connection.over = true;
  return true;
}

bool WorkloadApi::flush(Connection& connection) {
  while (true) {
    auto octets = connection.unsent.view().substr(connection.unsent_at);
    const bool left_over = !octets.empty();
    if (!left_over) octets = connection.session.next_output();
    if (octets.empty()) return true;
    const auto sent = send(connection.fd.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    const auto taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (taken > 0) connection.active = Clock::now();
    if (left_over) {
      connection.unsent_at += taken;
    } else if (taken < octets.size()) {
      connection.unsent = Secret(octets.substr(taken));
      connection.unsent_at = 0;
    }
    if (taken < octets.size()) return true;
    if (left_over) {
      connection.unsent = Secret();
      connection.unsent_at = 0;
    }
  }
}

bool WorkloadApi::pump(std::uint64_t id, Connection& connection) {
  while (true) {
    if (!flush(connection)) return false;
    const auto events = connection.session.take_events();
    if (events.empty()) break;
    for (const auto& event : events) handle(id, connection, event);
  }
  wait_to_send(id, connection);
  if (connection.waits_to_send) return true;
  return !connection.over && !connection.session.finished();
}

void WorkloadApi::wait_to_send(std::uint64_t id, Connection& connection) {
  const bool waits = connection.unsent_at < connection.unsent.view().size();
  if (waits == connection.waits_to_send) return;
  connection.waits_to_send = waits;
  if (waits) connection.active = Clock::now();  // from here on it may stall
  epoll_event wanted{EPOLLIN | (waits ? EPOLLOUT : 0U), {.u64 = id}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &wanted);
}

void WorkloadApi::pump_or_drop(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found != connections_.end() && !pump(id, found->second)) drop(id);
}

void WorkloadApi::drop(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  auto& connection = found->second;
  while (!connection.watches.empty()) forget({id, connection.watches.begin()->first}, connection);
  const auto user = users_.find(connection.caller.uid);
  if (--user->second == 0) users_.erase(user);
  connections_.erase(found);
  count([this](WorkloadFigures& figures) { figures.connections = connections_.size(); });
}

void WorkloadApi::sweep() {
  swept_ = Clock::now();
  std::optional<Time> first_end;
  std::vector<std::uint64_t> late;
  for (const auto& [id, connection] : connections_) {
    const bool idle = connection.watches.empty() && swept_ - connection.idle_since > kIdleMax;
    if (idle || (connection.waits_to_send && swept_ - connection.active > kStallMax)) {
      late.push_back(id);
    }
    for (const auto& [stream, watch] : connection.watches) {
      for (const auto& svid : watch.held) first_end = first_end ? std::min(*first_end, svid.ends) : svid.ends;
    }
  }
  for (const auto id : late) drop(id);
  count([first_end](WorkloadFigures& figures) { figures.first_end = first_end; });
  if (accepting_) return;
  accepting_ = true;
  epoll_event readable{EPOLLIN, {.u64 = 0}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &readable);
}

void WorkloadApi::drain() {
  for (auto& [id, connection] : connections_) {
    for (const auto& [stream, watch] : connection.watches) {
      connection.session.end(stream, grpc::Status::kUnavailable, "cfidentity is ending");
    }
    connection.session.go_away();
  }
  // What fits into the sockets at once, and a little more time for the others.
  const auto end = Clock::now() + kDrainMax;
  std::array<epoll_event, 64> events{};
  while (!connections_.empty()) {
    std::vector<std::uint64_t> done;
    for (auto& [id, connection] : connections_) {
      if (!flush(connection) || connection.unsent_at == connection.unsent.view().size()) done.push_back(id);
    }
    for (const auto id : done) drop(id);
    if (connections_.empty() || Clock::now() >= end) break;
    for (auto& [id, connection] : connections_) wait_to_send(id, connection);
    epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 50);
  }
  connections_.clear();
}

}  // namespace cortexflow::identity
