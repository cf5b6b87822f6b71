// SPDX-License-Identifier: Apache-2.0
// Multipath TCP through a service: its subflows are the kernel's own sockets, which no program sees released.
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

using Live = std::pair<std::uint64_t, std::uint64_t>;

Fd mptcp_connected() {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
  REQUIRE(fd);
  const auto to = socket_address(AF_INET, ip(kService), 80);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) return Fd();
  return fd;
}

// A Multipath TCP socket may close its subflow after close() has returned.
bool comes_to(const Mesh& mesh, Live expected) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (mesh.active() != expected) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace

TEST_CASE("service: Multipath TCP connections are live ones until they are closed, and the circuit breaker holds",
          "[mptcp]") {
  Mesh mesh;
  std::array<Backend, 1> backends;
  auto plan = plan_of(backends);
  plan.circuit_breaker.max_connections = 2;
  mesh.set(plan);
  for (int i = 0; i < 6; ++i) {
    CHECK(mptcp_connected());
    REQUIRE(comes_to(mesh, {0, 0}));
  }
  {
    const auto one = mptcp_connected(), two = mptcp_connected();
    REQUIRE(one);
    REQUIRE(two);
    CHECK(mesh.active() == Live(2, 2));
    CHECK_FALSE(mptcp_connected());
    CHECK_FALSE(connected(kService, 80));
  }
  REQUIRE(comes_to(mesh, {0, 0}));
  CHECK(connected(kService, 80));
  const auto load = mesh.load(backends[0].port());
  CHECK(load.results[CF_SVC_R_ESTABLISHED] == 9);
  CHECK(load.results[CF_SVC_R_RESET] == 0);
}

TEST_CASE("service: a Multipath TCP socket's peer is the service", "[mptcp]") {
  Mesh mesh;
  std::array<Backend, 1> backends;
  mesh.set(plan_of(backends));
  const auto caller = mptcp_connected();
  REQUIRE(caller);
  CHECK(peer_of(caller) == "10.96.0.1:80");
}

TEST_CASE("service: Multipath TCP connections that fail, or that nobody follows, are left in no count", "[mptcp]") {
  Mesh mesh;
  auto plan = plan_of(std::array<Backend, 0>{});
  plan.circuit_breaker.max_connections = 2;
  plan.circuit_breaker.max_pending = 2;
  SECTION("refused by the backend") { plan.slots = {{ip("127.0.0.1"), Backend().port()}}; }
  SECTION("no SYN could be sent") { plan.slots = {{ip("224.0.0.1"), 80}}; }
  mesh.set(plan);
  for (int i = 0; i < 4; ++i) CHECK_FALSE(mptcp_connected());
  CHECK(mesh.counter(CF_SVC_C_REFUSED_BREAKER) == 0);
  CHECK(mesh.counter(CF_SVC_C_REFUSED_PENDING) == 0);
  CHECK(comes_to(mesh, {0, 0}));
  CHECK(mesh.pending() == 0);
  const Backend backend;
  plan.slots = {{ip("127.0.0.1"), backend.port()}};
  mesh.set(plan);
  mesh.measure_nothing();
  for (int i = 0; i < 4; ++i) CHECK(mptcp_connected());
  CHECK(mesh.active() == Live(0, 0));
}
