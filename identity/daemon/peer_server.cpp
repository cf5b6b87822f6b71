// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/peer_server.h"

#include <sys/socket.h>

#include "agent/base/fd.h"
#include "identity/daemon/timed_stream.h"

namespace cortexflow::identity {
namespace {

constexpr std::chrono::seconds kConnectionMax{10};

thread_local const Caller* calling = nullptr;

}  // namespace

const Caller& PeerServer::caller() { return *calling; }

bool PeerServer::enters(uid_t uid) {
  const std::lock_guard lock(mutex_);
  if (busy_[uid] >= kPerUser) return false;
  ++busy_[uid];
  return true;
}

void PeerServer::leaves(uid_t uid) {
  const std::lock_guard lock(mutex_);
  if (--busy_[uid] == 0) busy_.erase(uid);
}

bool PeerServer::process_and_close_socket(socket_t socket) {
  const Fd owned(socket);
  const auto caller = caller_of(socket);
  if (!caller || !enters(caller->uid)) return false;
  calling = &*caller;
  TimedStream stream(socket, kConnectionMax);
  bool closed = false;
  const bool done = process_request(stream, true, closed, nullptr);
  calling = nullptr;
  leaves(caller->uid);
  ::shutdown(socket, SHUT_RDWR);
  return done;
}

}  // namespace cortexflow::identity
