// SPDX-License-Identifier: Apache-2.0
// An HTTP server that no peer can hold up: one request a connection, on threads that are there before it listens
// (workers.h), within times (peer_stream.h), and an end that waits for nobody.
#pragma once

#include <httplib.h>

#include <chrono>
#include <memory>
#include <thread>

#include "agent/base/result.h"
#include "agent/http/workers.h"

namespace cortexflow::http {

inline constexpr int kBacklog = 128;                          // httplib's 5 are too few for a burst of clients
inline constexpr std::chrono::milliseconds kAnswerMax{1000};  // for requests on their way, when it ends

class Server : public httplib::Server {
 public:
  Server();
  ~Server() override { end(); }

  // What is bound (bind_to_port()) is answered from now on, `connections` at a time.  Once.
  [[nodiscard]] Result<void> serve(std::size_t connections);
  // Answers what has begun; a peer that is slow about it is cut off.
  void end();

 private:
  bool process_and_close_socket(socket_t socket) override;

  int listener_ = -1;  // httplib's
  std::unique_ptr<Workers> workers_;
  std::thread accepts_;
};

}  // namespace cortexflow::http
