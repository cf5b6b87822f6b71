// SPDX-License-Identifier: Apache-2.0
// A program in a pod's container, its input and output carried by the API server: the pods/exec subresource over
// WebSocket (v5.channel.k8s.io, or v4 of older servers), which servers of every version speak.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/source/kubernetes/token.h"
#include "agent/source/kubernetes/websocket.h"

namespace cortexflow::source {

struct ExecTarget {
  std::string pod_namespace, pod, container;
  std::vector<std::string> command;
};

class PodExec {
 public:
  // The program has been started, or will have been: a server may say later that it can't.
  [[nodiscard]] static Result<std::unique_ptr<PodExec>> open(const ApiAccess& access, const Credential& credential,
                                                             const ExecTarget& target,
                                                             std::chrono::milliseconds time_max);
  PodExec(const PodExec&) = delete;
  PodExec& operator=(const PodExec&) = delete;
  ~PodExec();

  // Carries what comes from `fd`, a stream socket, to the program, and its standard output back, until the program or
  // the socket ends.  An error is why the program did, with what it said on standard error.
  [[nodiscard]] Result<void> carry(int fd);

 private:
  struct Connection;
  explicit PodExec(std::unique_ptr<Connection> connection);

  [[nodiscard]] Result<void> shake_hands(const ApiAccess& access, const Credential& credential,
                                         const ExecTarget& target);
  [[nodiscard]] Result<void> take(const WebsocketReader::Message& message, int fd);
  [[nodiscard]] Result<void> ended() const;

  std::unique_ptr<Connection> connection_;
  WebsocketReader reader_;
  std::string said_;    // on standard error
  std::string status_;  // how the program ended, a Status in JSON; empty: not yet
  bool closed_ = false;
};

}  // namespace cortexflow::source
