// SPDX-License-Identifier: Apache-2.0
// As Server (server.h), on ports that come and go while it runs: one thread takes the connections of all of them, and
// the same threads answer.
#pragma once

#include <httplib.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/http/workers.h"

namespace cortexflow::http {

class PortServer : private httplib::Server {
 public:
  // What is said to a request that came to that port, whatever its method and path; from several threads.
  using Answer = std::function<void(std::uint16_t port, const httplib::Request&, httplib::Response&)>;

  // `connections` at a time, of all ports together.
  [[nodiscard]] static Result<std::unique_ptr<PortServer>> start(std::size_t connections, Answer answer);
  PortServer(const PortServer&) = delete;
  PortServer& operator=(const PortServer&) = delete;
  ~PortServer() override { end(); }

  // Requests to that port are answered from now on.  `address` is one of this machine's, without brackets; "::" is all
  // of both families.  A number may be open once, at whatever address.
  [[nodiscard]] Result<void> open(const std::string& address, std::uint16_t port);
  // Connecting is refused from now on; what has begun is answered.
  void close(std::uint16_t port);
  // As Server's.
  void end();

 private:
  explicit PortServer(Answer answer);

  void accept_all();
  bool accept_one(std::uint16_t port);  // false: nobody waits there
  void serve(int peer, std::uint16_t port);

  Answer answer_;
  std::unique_ptr<Workers> workers_;
  Fd epoll_, ending_;  // the other: an eventfd that wakes accept_all() for good
  std::mutex mutex_;
  std::map<std::uint16_t, Fd> listeners_;
  std::thread accepts_;
};

}  // namespace cortexflow::http
