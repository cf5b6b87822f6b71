// SPDX-License-Identifier: Apache-2.0
// HTTPS: the one way in which TLS is served.
#pragma once

#include <httplib.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/base/result.h"
#include "agent/http/workers.h"
#include "identity/tls_profile.h"

namespace cortexflow::identity {

// One request a connection: handshake and request within kRequestMax, each part of the answer within kStallMax,
// so many threads at a time; the oldest of those that are waited for ends when another comes and finds no thread.  More
// than kConnectionsMax are hung up on.
class TlsServer : private httplib::Server {
 public:
  static constexpr std::size_t kThreads = 32;
  static constexpr std::size_t kConnectionsMax = 256;
  static constexpr std::chrono::seconds kRequestMax{10};
  static constexpr std::chrono::seconds kStallMax{5};

  // What a connection begins with: asked for each, from several threads.  Null: none is served.
  using Certificate = std::function<std::shared_ptr<SSL_CTX>()>;
  struct Settings {
    std::string address;  // to bind to, without brackets
    std::uint16_t port = 0;
    std::string setting;       // that says so, for errors
    std::size_t body_max = 0;  // octets
    std::size_t threads = kThreads;
  };
  TlsServer(Certificate certificate, Settings settings);
  ~TlsServer() override;

  // To add to before it starts.
  [[nodiscard]] httplib::Server& routes() { return *this; }
  [[nodiscard]] Result<void> start();
  // Answers what has begun; a peer that is slow about it is cut off.
  void stop();

  struct Figures {
    std::uint64_t connections = 0;                 // that stand
    std::uint64_t requests = 0;                    // that had a handshake and an answer
    std::map<std::string, std::uint64_t> refused;  // connections by why: "full", "no_certificate", "handshake"
  };
  [[nodiscard]] Figures figures() const;
  void count(const std::string& why);  // a refusal

 private:
  class Queue;
  class Stream;
  bool process_and_close_socket(socket_t socket) override;
  void let_go(int socket);

  const Certificate certificate_;
  const Settings settings_;
  std::atomic<std::uint64_t> connections_ = 0, requests_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> refused_;
  int listener_ = -1;  // httplib's
  std::unique_ptr<http::Workers> workers_;
  std::thread accepts_;
};

}  // namespace cortexflow::identity
