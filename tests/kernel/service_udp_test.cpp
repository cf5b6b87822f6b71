// SPDX-License-Identifier: Apache-2.0
// Datagrams to services: which backend has them, and whose address the answers bear.
#include <sys/socket.h>

#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

// A datagram there and back on an unconnected socket; the address that the answer seems to come from.
std::string ask(const Fd& socket, Backend& server, const std::string& address, int family, std::uint16_t port = 80) {
  const auto to = socket_address(family, ip(address), port);
  REQUIRE(sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to.storage), to.length) == 1);
  REQUIRE(server.echo());
  char octet = 0;
  SocketAddress from;
  from.length = sizeof from.storage;
  REQUIRE(recvfrom(socket.get(), &octet, 1, 0, reinterpret_cast<sockaddr*>(&from.storage), &from.length) == 1);
  return to_text(from);
}

}  // namespace

TEST_CASE("UDP answers come from the service's address, connected or not, IPv4 and IPv6") {
  Mesh mesh;
  std::vector<Backend> four;
  four.emplace_back(SOCK_DGRAM);
  Backend six(SOCK_DGRAM, AF_INET6);
  mesh.set(plan_of(four, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp));
  ServicePlan plan6;
  plan6.service = {"shop", "cart6"};
  plan6.protocol = model::Protocol::kUdp;
  plan6.frontends.emplace_back(ip(kService6), 80);
  plan6.slots.push_back({ip("::1"), six.port()});
  mesh.set(plan6);
  const Fd plain(socket(AF_INET, SOCK_DGRAM, 0));
  CHECK(ask(plain, four[0], kService, AF_INET) == "10.96.0.1:80");
  const Fd plain6(socket(AF_INET6, SOCK_DGRAM, 0));
  CHECK(ask(plain6, six, kService6, AF_INET6) == "fd00:96::1:80");
  CHECK(ask(plain6, four[0], kService, AF_INET6) == "10.96.0.1:80");
  const auto tied = connected(kService, 80, AF_INET, SOCK_DGRAM);
  REQUIRE(send(tied.get(), "x", 1, 0) == 1);
  REQUIRE(four[0].echo());
  char octet = 0;
  SocketAddress from;
  from.length = sizeof from.storage;
  REQUIRE(recvfrom(tied.get(), &octet, 1, 0, reinterpret_cast<sockaddr*>(&from.storage), &from.length) == 1);
  CHECK(to_text(from) == "10.96.0.1:80");
  CHECK(peer_of(tied) == "10.96.0.1:80");
}

TEST_CASE("an unconnected UDP socket keeps its backend while that lasts, and is moved when it goes") {
  Mesh mesh;
  std::vector<Backend> backends;
  for (int i = 0; i < 3; ++i) backends.emplace_back(SOCK_DGRAM);
  auto plan = plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp);
  mesh.set(plan);
  const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  for (int i = 0; i < 5; ++i) CHECK(ask(socket, backends[0], kService, AF_INET) == "10.96.0.1:80");
  plan.slots.erase(plan.slots.begin());
  mesh.set(plan);
  const auto to = socket_address(AF_INET, ip(kService), 80);
  REQUIRE(sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to.storage), to.length) == 1);
  CHECK(backends[1].echo() != backends[2].echo());
}

TEST_CASE("service: UDP answers come from the service that was asked, where two have the same backend") {
  Mesh mesh;
  std::vector<Backend> backends;
  backends.emplace_back(SOCK_DGRAM);
  auto plan = plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp);
  mesh.set(plan);
  plan.service = {"shop", "other"};
  plan.frontends = {{ip("10.96.0.2"), 80}};
  mesh.set(plan);
  const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  for (int i = 0; i < 3; ++i) {
    CHECK(ask(socket, backends[0], kService, AF_INET) == "10.96.0.1:80");
    CHECK(ask(socket, backends[0], "10.96.0.2", AF_INET) == "10.96.0.2:80");
  }
}

TEST_CASE("service: a UDP socket that asks a backend by its own address is answered from there") {
  Mesh mesh;
  std::vector<Backend> backends;
  backends.emplace_back(SOCK_DGRAM);
  mesh.set(plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp));
  const auto port = backends[0].port();
  const auto own = fmt::format("127.0.0.1:{}", port);
  const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  for (int i = 0; i < 2; ++i) {
    CHECK(ask(socket, backends[0], kService, AF_INET) == "10.96.0.1:80");
    CHECK(ask(socket, backends[0], "127.0.0.1", AF_INET, port) == own);
  }
  const auto to = [](const char* address, std::uint16_t at) { return socket_address(AF_INET, ip(address), at); };
  for (const auto& [address, at, answers] :
       {std::tuple{kService, std::uint16_t{80}, std::string("10.96.0.1:80")}, std::tuple{"127.0.0.1", port, own}}) {
    const auto there = to(address, at);
    REQUIRE(connect(socket.get(), reinterpret_cast<const sockaddr*>(&there.storage), there.length) == 0);
    REQUIRE(send(socket.get(), "x", 1, 0) == 1);
    REQUIRE(backends[0].echo());
    char octet = 0;
    SocketAddress from;
    from.length = sizeof from.storage;
    REQUIRE(recvfrom(socket.get(), &octet, 1, 0, reinterpret_cast<sockaddr*>(&from.storage), &from.length) == 1);
    CHECK(to_text(from) == answers);
  }
}
