// SPDX-License-Identifier: Apache-2.0
// UDP sockets whose backend is in no table any more: which are found, and what ending one does.
#include "agent/kernel/stale_sockets.h"

#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "agent/kernel/namespaces.h"
#include "agent/kernel/socket_end.h"
#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

constexpr std::size_t kMany = 1000;

std::vector<cf_svc_stale_socket> found(const Mesh& mesh, std::size_t limit = kMany) {
  const auto stale = kernel::StaleSockets::open(mesh.tables());
  REQUIRE(stale);
  const auto sockets = (*stale)->find(limit);
  REQUIRE(sockets);
  return *sockets;
}

std::uint64_t cookie_of(const Fd& socket) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  REQUIRE(getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0);
  return cookie;
}

int connect_to(const Fd& socket, const std::string& address, std::uint16_t port) {
  const auto to = socket_address(AF_INET, ip(address), port);
  return connect(socket.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length);
}

}  // namespace

TEST_CASE("a connected UDP socket is stale once its backend is in no table, and ends with ECONNABORTED") {
  Mesh mesh;
  std::array<Backend, 2> backends{Backend(SOCK_DGRAM), Backend(SOCK_DGRAM)};
  auto plan = plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp);
  mesh.set(plan);
  const auto family = GENERATE(AF_INET, AF_INET6);  // IPv4 on an IPv6 socket
  const auto one = connected(kService, 80, family, SOCK_DGRAM), two = connected(kService, 80, family, SOCK_DGRAM);
  CHECK(found(mesh).empty());
  plan.slots.erase(plan.slots.begin());
  mesh.set(plan);
  const auto stale = found(mesh);
  REQUIRE(stale.size() == 1);
  CHECK(stale[0].cookie == cookie_of(one));
  CHECK(stale[0].backend.port == backends[0].port());

  auto netns = kernel::open_netns({stale[0].netns});
  REQUIRE(netns.size() == 1);
  const auto sock_diag = kernel::open_sock_diag(netns.at(stale[0].netns));
  REQUIRE(sock_diag);
  auto another = stale[0];
  another.cookie = cookie_of(two);
  CHECK(kernel::end_socket(*sock_diag, another) == kernel::SocketEnd::kMoved);
  CHECK(kernel::end_socket(*sock_diag, stale[0]) == kernel::SocketEnd::kDestroyed);
  char octet = 0;
  CHECK(send(one.get(), "x", 1, 0) == -1);
  CHECK(errno == EDESTADDRREQ);
  CHECK(recv(one.get(), &octet, 1, MSG_DONTWAIT) == -1);
  CHECK(errno == ECONNABORTED);
  CHECK(send(two.get(), "x", 1, 0) == 1);
  CHECK(found(mesh).empty());
  CHECK(kernel::end_socket(*sock_diag, stale[0]) == kernel::SocketEnd::kMoved);
}

TEST_CASE("a UDP socket that was connected elsewhere since is nobody's stale one, and keeps its peer's own name") {
  Mesh mesh;
  std::array<Backend, 2> backends{Backend(SOCK_DGRAM), Backend(SOCK_DGRAM)};
  auto plan = plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp);
  mesh.set(plan);
  const auto socket = connected(kService, 80, AF_INET, SOCK_DGRAM);
  REQUIRE(connect_to(socket, "127.0.0.1", backends[0].port()) == 0);
  CHECK(peer_of(socket) == fmt::format("127.0.0.1:{}", backends[0].port()));
  CHECK(mesh.active() == std::pair<std::uint64_t, std::uint64_t>(0, 0));
  plan.slots.erase(plan.slots.begin());
  mesh.set(plan);
  CHECK(found(mesh).empty());
}

TEST_CASE("many stale sockets are read whole, at most as many as are asked for; TCP ones are none") {
  Mesh mesh;
  std::vector<Backend> backends;
  backends.emplace_back(SOCK_DGRAM);
  const auto plan = plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp);
  mesh.set(plan);
  std::vector<Backend> tcp(1);
  const auto tcp_plan = plan_of(tcp);
  std::vector<Fd> sockets;
  for (int i = 0; i < 700; ++i) sockets.push_back(connected(kService, 80, AF_INET, SOCK_DGRAM));
  mesh.remove(plan);
  mesh.set(tcp_plan);
  const auto stream = connected(kService, 80);
  CAPTURE(errno);
  REQUIRE(stream);
  mesh.remove(tcp_plan);
  const auto stale = found(mesh);
  CHECK(stale.size() == sockets.size());
  CHECK(found(mesh, 10).size() == 10);
}

TEST_CASE("this kernel ends UDP sockets") { CHECK(kernel::try_socket_end()); }
