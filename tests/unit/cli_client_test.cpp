// SPDX-License-Identifier: Apache-2.0
// cfcli where there is no agent to answer it.
#include <sys/stat.h>
#include <sys/un.h>

#include <thread>

#include "tests/unit/cli_run.h"
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

// One line on standard error that has all of `parts`; status 1.
void check_refused(const CliResult& result, const std::vector<std::string>& parts) {
  INFO(result.err);
  CHECK(result.status == 1);
  CHECK(result.out.empty());
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  for (const auto& part : parts) CHECK(result.err.find(part) != std::string::npos);
}

const std::vector<std::vector<std::string>> kCommands{{"status"},           {"dns", "watch"}, {"dns", "top", "--once"},
                                                      {"workload", "list"}, {"bpf", "list"},  {"logs"}};

std::vector<std::string> with_socket(const std::string& socket, std::vector<std::string> command) {
  command.insert(command.begin(), {"--socket", socket});
  return command;
}

}  // namespace

TEST_CASE("Without an agent each command names the socket and the next step") {
  const Directory directory;
  for (const auto& command : kCommands) {
    check_refused(run_cli(with_socket(directory.socket(), command)),
                  {"no agent is running", directory.socket(), "systemctl start cfagent", "--socket"});
  }
}

TEST_CASE("A socket that a dead agent left is told") {
  const Directory directory;
  {
    const Fd stale(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory.socket().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(stale.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  check_refused(run_cli(with_socket(directory.socket(), {"status"})), {"nothing answers on", directory.socket()});
}

TEST_CASE("Without the right to the socket, sudo or the group is the next step") {
  const Serving serving;
  REQUIRE(chmod(serving.directory.socket().c_str(), 0) == 0);
  const auto result = run_cli(with_socket(serving.directory.socket(), {"status"}), Rights::kModes);
  check_refused(result, {"no right to use", "sudo", "group cortexflow"});
}

TEST_CASE("An agent that stands still, its queue full, is told and not waited for") {
  const Directory directory;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  directory.socket().copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd stopped(socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(bind(stopped.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(stopped.get(), 0) == 0);
  const Fd waiting(socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(connect(waiting.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  check_refused(run_cli(with_socket(directory.socket(), {"status"})), {"queue is full", directory.socket()});

  FakeNode node;
  control::Server second(node, node, directory.socket(), "");
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("another agent is running") != std::string::npos);
}

TEST_CASE("A path that can't be a socket's is refused") {
  check_refused(run_cli({"--socket", "/" + std::string(200, 'x'), "status"}), {"201 octets", "--socket"});
}

TEST_CASE("A server that is no agent is not understood") {
  const Directory directory;
  httplib::Server other;
  other.Get("/.*", [](const httplib::Request&, httplib::Response& response) { response.set_content("[1]\n", "x/y"); });
  other.set_address_family(AF_UNIX);
  REQUIRE(other.bind_to_port(directory.socket(), 80));
  std::thread thread([&other] { other.listen_after_bind(); });
  for (int i = 0; i < 500 && !other.is_running(); ++i) std::this_thread::sleep_for(2ms);
  for (const auto& command : kCommands) {
    auto result = run_cli(with_socket(directory.socket(), command));
    if (command.back() == "watch") result.out.clear();  // its header, printed before the first line came
    check_refused(result, {"not understood", "version"});
  }
  other.stop();
  thread.join();
}

TEST_CASE("An answer without an end is not taken: neither one document, nor one line of a stream") {
  const Directory directory;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  directory.socket().copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd listening(socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(listening.get(), 4) == 0);
  const std::vector<std::pair<std::vector<std::string>, const char*>> rows{{{"status"}, "67108864 octets"},
                                                                           {{"dns", "watch"}, "262144 octets"}};
  for (const auto& [command, said] : rows) {
    std::thread endless([&] {
      const Fd peer(accept(listening.get(), nullptr, nullptr));
      std::string text = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
      while (send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0) text.assign(1 << 16, 'x');
    });
    auto result = run_cli(with_socket(directory.socket(), command));
    if (command.back() == "watch") result.out.clear();  // its header
    check_refused(result, {said});
    endless.join();
  }
}
