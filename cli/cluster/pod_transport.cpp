// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/pod_transport.h"

#include <fcntl.h>
#include <httplib.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <optional>
#include <thread>

#include "agent/base/fd.h"
#include "agent/base/thread.h"

namespace cortexflow::cli {
namespace {

// A client of a connection that is there already.
class ConnectedClient : public httplib::ClientImpl {
 public:
  explicit ConnectedClient(Fd socket) : ClientImpl("localhost", 80), socket_(std::move(socket)) {
    set_read_timeout(std::chrono::seconds(10));
  }

 private:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    if (!socket_) {
      error = httplib::Error::Connection;
      return false;
    }
    socket.sock = fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0);  // httplib closes it
    socket_ = Fd();
    return socket.sock >= 0;
  }

  Fd socket_;
};

class PodConnection : public Connection {
 public:
  PodConnection(std::string node, std::string pod, std::string next_step)
      : node_(std::move(node)), pod_(std::move(pod)), next_step_(std::move(next_step)) {}
  PodConnection(const PodConnection&) = delete;
  PodConnection& operator=(const PodConnection&) = delete;
  ~PodConnection() override { end(); }

  Result<void> start(std::unique_ptr<source::PodExec> exec) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return fail_errno("cannot make a pair of sockets", errno);
    }
    http_.emplace(Fd(ends[0]));
    ours_ = Fd(ends[1]);
    exec_ = std::move(exec);
    auto thread = start_thread([this] {
      carried_ = exec_->carry(ours_.get());
      // Not closed: what is still written to it must not raise SIGPIPE.
      shutdown(ours_.get(), SHUT_WR);
    });
    if (!thread) return tl::make_unexpected(std::move(thread.error()));
    thread_ = std::move(*thread);
    return {};
  }

  httplib::ClientImpl& http() override { return *http_; }

  Error no_answer(httplib::Error) override {
    end();
    const auto where = fmt::format("node {}, pod {}", node_, pod_);
    if (!carried_) {
      auto why = std::move(carried_.error()).wrap(where);
      if (!next_step_.empty()) why.next_step = next_step_;
      return why;
    }
    return {fmt::format("{}: the agent took the request and did not answer it", where),
            fmt::format("see its log: kubectl logs -n {}", pod_.replace(pod_.find('/'), 1, " "))};
  }

 private:
  void end() {
    http_.reset();  // closes the other end, if that is still open
    if (ours_) shutdown(ours_.get(), SHUT_RD);
    if (thread_.joinable()) thread_.join();
  }

  std::string node_, pod_, next_step_;
  std::optional<ConnectedClient> http_;
  Fd ours_;
  std::unique_ptr<source::PodExec> exec_;
  Result<void> carried_;  // once the thread has ended
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Connection>> PodTransport::connect() const {
  std::signal(SIGPIPE, SIG_IGN);  // a server that hangs up is an error in words
  auto exec = server_->exec(target_);
  const auto pod = target_.pod_namespace + "/" + target_.pod;
  if (!exec) return tl::make_unexpected(std::move(exec.error()).wrap(fmt::format("node {}, pod {}", node_, pod)));
  auto connection = std::make_unique<PodConnection>(node_, pod, next_step_);
  if (auto started = connection->start(std::move(*exec)); !started) return tl::make_unexpected(started.error());
  return connection;
}

}  // namespace cortexflow::cli
