// SPDX-License-Identifier: Apache-2.0
// HTTP on a Unix socket whose handlers know who is asking.
#pragma once

#include <httplib.h>

#include <map>
#include <mutex>

#include "identity/caller.h"

namespace cortexflow::identity {

// One request a connection, each done within kConnectionMax; of one user at most kPerUser at a time, more are hung up
// on, so that no user keeps the others out.
class PeerServer : public httplib::Server {
 public:
  static constexpr int kThreads = 32;
  static constexpr int kPerUser = 8;

  // Of the request that the calling thread handles.
  [[nodiscard]] static const Caller& caller();

 private:
  bool process_and_close_socket(socket_t socket) override;
  [[nodiscard]] bool enters(uid_t uid);
  void leaves(uid_t uid);

  std::mutex mutex_;
  std::map<uid_t, int> busy_;
};

}  // namespace cortexflow::identity
