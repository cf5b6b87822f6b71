// SPDX-License-Identifier: Apache-2.0
// Any octets sent to the control socket: the server answers with HTTP and whole JSON, or hangs up, and goes on serving.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/base/fd.h"
#include "agent/control/server.h"

namespace {

using namespace cortexflow;

void require(bool holds) {
  if (!holds) std::abort();
}

// Drains, so that even a follower comes to an end at once.
class DrainingNode : public control::NodeView {
 public:
  control::Status status() const override { return {}; }
  std::vector<control::BpfProgram> bpf_programs() const override { return std::vector<control::BpfProgram>(2); }
  std::vector<control::WorkloadRow> workloads() const override { return std::vector<control::WorkloadRow>(2); }
  std::vector<std::string> log_lines(std::size_t max) const override {
    require(max <= 1000);
    return std::vector<std::string>(max, "line");
  }
  std::uint64_t cursor_since(std::chrono::system_clock::time_point) const override { return 0; }
  control::LookupBatch read_lookups(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds) const override {
    control::LookupBatch batch;
    for (batch.next = cursor; batch.next < 3 && batch.lookups.size() < max; ++batch.next) {
      batch.lookups.push_back(std::make_shared<model::DnsLookup>());
    }
    return batch;
  }
  bool draining() const override { return true; }
};

class RunningServer {
 public:
  RunningServer() : directory_("/tmp/cortexflow-fuzz-XXXXXX") {
    require(mkdtemp(directory_.data()) != nullptr);
    server_ = std::make_unique<control::Server>(node_, path(), "cortexflow");
    require(server_->start().has_value());
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;
  ~RunningServer() {
    server_->stop();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/agent.sock"; }

 private:
  std::string directory_;
  DrainingNode node_;
  std::unique_ptr<control::Server> server_;
};

Fd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

std::string ask(const std::string& path, const std::uint8_t* data, std::size_t size) {
  const Fd fd = connect_to(path);
  // The server may hang up before it has read it all.
  if (send(fd.get(), data, size, MSG_NOSIGNAL) >= 0) shutdown(fd.get(), SHUT_WR);
  std::string reply;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = recv(fd.get(), buffer, sizeof buffer, 0)) > 0) reply.append(buffer, static_cast<std::size_t>(got));
  return reply;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const RunningServer server;
  if (size > 16384) return 0;  // longer than the server's own limits; a write could block
  const std::string reply = ask(server.path(), data, size);
  if (reply.empty()) return 0;
  require(reply.starts_with("HTTP/1."));
  const auto body = reply.find("\r\n\r\n");
  require(body != std::string::npos);
  const std::string_view head(reply.data(), body);
  const bool is_json = head.find("Content-Type: application/json") != std::string_view::npos;
  if (is_json && reply.size() > body + 4) require(nlohmann::json::accept(reply.substr(body + 4)));
  return 0;
}
