// SPDX-License-Identifier: Apache-2.0
// Any octets sent to the control socket: the server answers with HTTP and whole JSON, or hangs up, and goes on serving.
#include <poll.h>
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
template <typename Record>
class ThreeRecords : public control::RecordView<Record> {
 public:
  std::uint64_t cursor_since(std::chrono::system_clock::time_point) const override { return 0; }
  control::RecordBatch<Record> read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds) const override {
    control::RecordBatch<Record> batch;
    for (batch.next = cursor; batch.next < 3 && batch.records.size() < max; ++batch.next) {
      batch.records.push_back(std::make_shared<Record>());
    }
    return batch;
  }
};

class DrainingNode : public control::NodeView, public control::ServiceOperator {
 public:
  control::Status status() const override { return {}; }
  std::vector<control::BpfProgram> bpf_programs() const override { return std::vector<control::BpfProgram>(2); }
  std::vector<control::WorkloadRow> workloads() const override { return std::vector<control::WorkloadRow>(2); }
  std::vector<control::DropRow> drops() const override { return std::vector<control::DropRow>(2); }
  Result<std::vector<control::VethRow>> veths() const override { return std::vector<control::VethRow>(2); }
  std::vector<control::ServiceRow> services() const override { return std::vector<control::ServiceRow>(2); }
  std::vector<std::string> service_refusals() const override { return {"refusal"}; }
  control::Done set_weights(const std::string&,
                            const std::vector<std::pair<std::string, std::uint32_t>>& weights) override {
    require(!weights.empty());
    return {};
  }
  control::Done reset_weights(const std::string& service) override {
    require(!service.empty());
    return {};
  }
  control::Answer<std::vector<control::SimulatedPort>> simulate(const control::SimulationQuery&) const override {
    return std::vector<control::SimulatedPort>(1);
  }
  control::Answer<control::Explanation> explain(const std::string&, const std::string&) const override {
    return control::Explanation{};
  }
  control::Done set_drained(const std::string&, const std::string&, bool) override { return {}; }
  std::vector<std::string> log_lines(std::size_t max) const override {
    require(max <= 1000);
    return std::vector<std::string>(max, "line");
  }
  const control::RecordView<model::DnsLookup>& lookups() const override { return lookups_; }
  const control::RecordView<model::Flow>& flows() const override { return flows_; }
  Result<std::vector<model::Flow>> open_flows(std::size_t limit) const override {
    return std::vector<model::Flow>(std::min<std::size_t>(limit, 2));
  }
  bool draining() const override { return true; }

 private:
  ThreeRecords<model::DnsLookup> lookups_;
  ThreeRecords<model::Flow> flows_;
};

// Its socket lies beside the program: libFuzzer ends without destructors, and the next run replaces what is left over.
class RunningServer {
 public:
  RunningServer()
      : path_(std::filesystem::read_symlink("/proc/self/exe").string() + ".sock"),
        server_(node_, node_, path_, "cortexflow") {
    require(server_.start().has_value());
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  DrainingNode node_;
  control::Server server_;
};

Fd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

struct Reply {
  std::string text;
  bool whole = true;
};

Reply ask(const std::string& path, std::string request) {
  constexpr int kPatienceMs = 5;  // only ends the wait for a request that can't be complete; no verdict hangs on it
  const Fd fd = connect_to(path);
  if (request.find("\r\n\r\n") == std::string::npos) request += "\r\n\r\n";
  Reply reply;
  // The server may hang up before it has read it all.
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return reply;
  pollfd answer{fd.get(), POLLIN, 0};
  if (poll(&answer, 1, kPatienceMs) == 0) {
    shutdown(fd.get(), SHUT_WR);  // no more of the request comes
    reply.whole = false;
  }
  char buffer[16384];
  ssize_t got = 0;
  while ((got = recv(fd.get(), buffer, sizeof buffer, 0)) > 0) reply.text.append(buffer, static_cast<std::size_t>(got));
  return reply;
}

void require_json(std::string_view head, std::string_view body) {
  const auto has = [head](std::string_view field) { return head.find(field) != std::string_view::npos; };
  if (has("Content-Encoding:") || has("Content-Range:") || body.empty()) return;
  if (has("Content-Type: application/json")) require(nlohmann::json::accept(body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const RunningServer server;
  if (size > 16384) return 0;  // longer than the server's own limits; a write could block
  const Reply reply = ask(server.path(), std::string(data, data + size));
  if (reply.text.empty()) return 0;
  require(reply.text.starts_with("HTTP/1."));
  const auto end_of_head = reply.text.find("\r\n\r\n");
  require(end_of_head != std::string::npos);
  const std::string_view text = reply.text;
  if (reply.whole) require_json(text.substr(0, end_of_head), text.substr(end_of_head + 4));
  return 0;
}
