// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <thread>

#include "agent/base/fd.h"
#include "agent/http/server.h"

using namespace cortexflow;

namespace {

constexpr std::size_t kConnections = 4;
const std::string kLong(16U << 20U, 'x');  // more than the socket's buffers take

struct HttpServing {
  HttpServing() {
    server.Get("/short",
               [](const httplib::Request&, httplib::Response& out) { out.set_content("here", "text/plain"); });
    server.Get("/long", [](const httplib::Request&, httplib::Response& out) { out.set_content(kLong, "text/plain"); });
    server.Put("/body",
               [](const httplib::Request& in, httplib::Response& out) { out.set_content(in.body, "text/plain"); });
    port = server.bind_to_any_port("127.0.0.1");
    REQUIRE(port > 0);
    REQUIRE(server.serve(kConnections));
  }

  http::Server server;
  int port = 0;
};

Fd stranger(int port, std::string_view says) {
  Fd out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(out.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  REQUIRE(send(out.get(), says.data(), says.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(says.size()));
  return out;
}

// The server has not ended the connection.
bool stands(const Fd& peer) {
  char octet = 0;
  return recv(peer.get(), &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

}  // namespace

TEST_CASE("Peers that keep their connections waiting don't keep others out") {
  HttpServing serving;
  const auto says = GENERATE(as<std::string>{}, "", "GET /short HTTP/1.1\r\n",
                             "PUT /body HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", "GET /long HTTP/1.1\r\n\r\n");
  std::deque<Fd> strangers;
  for (std::size_t i = 0; i < 10 * kConnections; ++i) strangers.push_back(stranger(serving.port, says));
  const auto answer = httplib::Client("127.0.0.1", serving.port).Get("/short");
  REQUIRE(answer);
  CHECK(answer->body == "here");
  if (says.starts_with("GET /long")) return;  // what is left of the answer hides the connection's end
  const auto standing = std::count_if(strangers.begin(), strangers.end(), stands);
  CHECK(standing > 0);  // or they would have been cut because their time was over
  CHECK(standing <= static_cast<std::ptrdiff_t>(kConnections));
}

TEST_CASE("As many peers as there are connections have their time, and are answered when they have said all") {
  HttpServing serving;
  std::deque<Fd> peers;
  for (std::size_t i = 0; i < kConnections; ++i) peers.push_back(stranger(serving.port, "GET /short HTTP/1.1\r\n"));
  for (const auto& peer : peers) {
    CHECK(stands(peer));
    REQUIRE(send(peer.get(), "\r\n", 2, MSG_NOSIGNAL) == 2);
    std::string answer(4096, '\0');
    const ssize_t got = recv(peer.get(), answer.data(), answer.size(), 0);
    REQUIRE(got > 0);
    CHECK(answer.starts_with("HTTP/1.1 200"));
  }
}

TEST_CASE("A long answer arrives whole while others come") {
  HttpServing serving;
  std::thread others([&serving] {
    for (int i = 0; i < 50; ++i) httplib::Client("127.0.0.1", serving.port).Get("/short");
  });
  const auto answer = httplib::Client("127.0.0.1", serving.port).Get("/long");
  others.join();
  REQUIRE(answer);
  CHECK(answer->body == kLong);
}

TEST_CASE("A server ends though its peers go on for ever") {
  std::deque<Fd> strangers;
  {
    HttpServing serving;
    for (std::size_t i = 0; i < kConnections; ++i)
      strangers.push_back(stranger(serving.port, "GET /long HTTP/1.1\r\n\r\n"));
    for (std::size_t i = 0; i < kConnections; ++i) strangers.push_back(stranger(serving.port, "GET /sh"));
    serving.server.end();
  }
  for (const auto& one : strangers) CHECK_FALSE(stands(one));
}
