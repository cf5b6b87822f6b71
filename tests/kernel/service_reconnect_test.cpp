// SPDX-License-Identifier: Apache-2.0
// A socket that connects to a service again does not stand in its own way.
#include <sys/socket.h>

#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

using Live = std::pair<std::uint64_t, std::uint64_t>;

bool connects(const Fd& socket, const char* address = kService) {
  const auto to = socket_address(AF_INET, ip(address), 80);
  return connect(socket.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) == 0;
}

}  // namespace

TEST_CASE("service: a socket whose backend refused it may connect again at the limit, when the backend is there") {
  Mesh mesh;
  auto plan = plan_of(std::array<Backend, 0>{});
  plan.slots = {{ip("127.0.0.1"), Backend().port()}};  // nobody listens there
  plan.circuit_breaker.max_connections = 1;
  mesh.set(plan);
  const Fd caller(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_FALSE(connects(caller));
  const Backend backend;
  plan.slots = {{ip("127.0.0.1"), backend.port()}};
  mesh.set(plan);
  CHECK(connects(caller));
  CHECK(mesh.active() == Live(1, 1));
  CHECK(mesh.counter(CF_SVC_C_REFUSED_BREAKER) == 0);
}

TEST_CASE("service: a UDP socket that connects again takes the place that it had, and keeps it where it is refused") {
  Mesh mesh;
  std::vector<Backend> backends;
  backends.emplace_back(SOCK_DGRAM);
  auto plan = plan_of(backends, CF_SVC_ROUND_ROBIN, model::Protocol::kUdp);
  plan.circuit_breaker.max_connections = 1;
  mesh.set(plan);
  auto empty = plan;
  empty.service = {"shop", "empty"};
  empty.frontends = {{ip("10.96.0.2"), 80}};
  empty.slots.clear();
  mesh.set(empty);
  const Fd caller(socket(AF_INET, SOCK_DGRAM, 0)), other(socket(AF_INET, SOCK_DGRAM, 0));
  for (int i = 0; i < 3; ++i) CHECK(connects(caller));
  CHECK(mesh.active() == Live(1, 1));
  CHECK_FALSE(connects(other));
  CHECK_FALSE(connects(caller, "10.96.0.2"));
  CHECK(peer_of(caller) == "10.96.0.1:80");  // as if it had not asked
  CHECK(mesh.active() == Live(1, 1));
  CHECK_FALSE(connects(other));
  CHECK(connects(caller));
}
