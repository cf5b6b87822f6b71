// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "agent/base/fd.h"
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;

TEST_CASE("The socket is its owner's and its group's") {
  const Serving serving;
  struct stat file{};
  REQUIRE(stat(serving.directory.socket().c_str(), &file) == 0);
  CHECK((file.st_mode & 07777) == 0660);
}

TEST_CASE("A second agent is refused, and leaves the first one's socket") {
  Serving serving;
  Server second(serving.node, serving.node, serving.directory.socket(), "");
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("another agent is running") != std::string::npos);
  CHECK(get(serving.directory.socket(), "/v1/version"));
}

TEST_CASE("A socket that nobody answers is replaced, another file is not") {
  const Directory directory;
  FakeNode node;
  {
    const Fd stale(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory.socket().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(stale.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  {
    Server server(node, node, directory.socket(), "");
    REQUIRE(server.start());
    for (int i = 0; i < 500 && !get(directory.socket(), "/v1/version"); ++i) std::this_thread::sleep_for(2ms);
    CHECK(get(directory.socket(), "/v1/version"));
    node.drains = true;
    server.stop();
  }
  CHECK_FALSE(std::filesystem::exists(directory.socket()));

  std::ofstream(directory.socket()) << "precious";
  Server server(node, node, directory.socket(), "");
  CHECK_FALSE(server.start());
  CHECK(std::filesystem::file_size(directory.socket()) == 8);
}

TEST_CASE("A server that has just started can stop") {
  FakeNode node;
  node.drains = true;
  for (int i = 0; i < 20; ++i) {
    const Directory directory;
    Server server(node, node, directory.socket(), "");
    REQUIRE(server.start());
    server.stop();
  }
}
