// SPDX-License-Identifier: Apache-2.0
// Service translation with real sockets: who lands where, and what an application sees.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;
using compile::ServicePlan;

namespace {

void call(int times) {
  for (int i = 0; i < times; ++i) REQUIRE(connected(kService, 80));
}

}  // namespace

TEST_CASE("round robin gives every backend the same number of callers, exactly") {
  Mesh mesh;
  std::array<Backend, 3> backends;
  mesh.set(plan_of(backends));
  call(300);
  for (auto& backend : backends) CHECK(backend.accepted() == 100);
  CHECK(mesh.counter(CF_SVC_C_TRANSLATED) == 300);
}

TEST_CASE("weights are kept exactly over any window") {
  Mesh mesh;
  std::array<Backend, 2> backends;
  auto plan = plan_of(backends);
  const auto ten = compile::weighted_sequence({9, 1}, 100);
  const auto slots = plan.slots;
  plan.slots.clear();
  for (const auto index : ten) plan.slots.push_back(slots[index]);
  mesh.set(plan);
  call(7);  // a window that starts anywhere
  backends[0].accepted(), backends[1].accepted();
  call(200);
  CHECK(backends[0].accepted() == 180);
  CHECK(backends[1].accepted() == 20);
}

TEST_CASE("the application sees the service's address, IPv4, IPv6 and IPv4 on an IPv6 socket") {
  Mesh mesh;
  std::array<Backend, 1> four;
  Backend six(SOCK_STREAM, AF_INET6);
  mesh.set(plan_of(four));
  ServicePlan plan6;
  plan6.service = {"shop", "cart6"};
  plan6.frontends.emplace_back(ip(kService6), 80);
  plan6.slots.push_back({ip("::1"), six.port()});
  mesh.set(plan6);
  CHECK(peer_of(connected(kService, 80)) == "10.96.0.1:80");
  CHECK(peer_of(connected(kService, 80, AF_INET6)) == "10.96.0.1:80");
  CHECK(peer_of(connected(kService6, 80, AF_INET6)) == "fd00:96::1:80");
  CHECK(four[0].accepted() == 2);
  CHECK(six.accepted() == 1);
  SECTION("and a backend that is called by its own name keeps it") {
    CHECK(peer_of(connected("127.0.0.1", four[0].port())) == fmt::format("127.0.0.1:{}", four[0].port()));
  }
}

TEST_CASE("live connections are counted until their sockets are closed, failed ones too") {
  Mesh mesh;
  std::array<Backend, 2> backends;
  auto plan = plan_of(backends);
  mesh.set(plan);
  {
    std::vector<Fd> open;
    for (int i = 0; i < 5; ++i) open.push_back(connected(kService, 80));
    CHECK(mesh.active() == std::pair<std::uint64_t, std::uint64_t>(5, 5));
    open.pop_back();
    CHECK(mesh.active() == std::pair<std::uint64_t, std::uint64_t>(4, 4));
  }
  CHECK(mesh.active() == std::pair<std::uint64_t, std::uint64_t>(0, 0));
  plan.slots = {{ip("127.0.0.1"), 1}};  // nobody listens there
  mesh.set(plan);
  CHECK_FALSE(connected(kService, 80));
  CHECK(errno == ECONNREFUSED);
  CHECK(mesh.active() == std::pair<std::uint64_t, std::uint64_t>(0, 0));
}

TEST_CASE("least connections goes where the fewest are") {
  Mesh mesh;
  std::array<Backend, 3> backends;
  mesh.set(plan_of(backends, CF_SVC_LEAST_CONNECTIONS));
  std::vector<Fd> open;
  for (int i = 0; i < 30; ++i) open.push_back(connected(kService, 80));
  for (auto& backend : backends) CHECK(backend.accepted() == 10);
  // One backend's connections end: the next ten are its own.
  std::map<std::string, int> by_backend;
  open.erase(open.begin(), open.begin() + 15);
  for (int i = 0; i < 15; ++i) open.push_back(connected(kService, 80));
  CHECK(mesh.active() == std::pair<std::uint64_t, std::uint64_t>(30, 30));
  for (auto& backend : backends) CHECK(backend.accepted() == 5);
}

TEST_CASE("the circuit breaker refuses what is above its limit, and lets in again below it") {
  Mesh mesh;
  std::array<Backend, 1> backends;
  auto plan = plan_of(backends);
  plan.circuit_breaker.max_connections = 3;
  mesh.set(plan);
  std::vector<Fd> open;
  for (int i = 0; i < 3; ++i) open.push_back(connected(kService, 80));
  CHECK_FALSE(connected(kService, 80));
  CHECK((errno == ECONNREFUSED || errno == EPERM));
  CHECK(mesh.counter(CF_SVC_C_REFUSED_BREAKER) == 1);
  open.pop_back();
  CHECK(connected(kService, 80));
}

TEST_CASE("a service without backends refuses at once; one that is taken away is an address like any other") {
  Mesh mesh;
  const auto plan = plan_of(std::array<Backend, 0>{});
  mesh.set(plan);
  CHECK_FALSE(connected(kService, 80));
  CHECK((errno == ECONNREFUSED || errno == EPERM));
  CHECK(mesh.counter(CF_SVC_C_REFUSED_EMPTY) == 1);
}

TEST_CASE("a client keeps its backend where the service wishes that, until it goes") {
  Mesh mesh;
  std::array<Backend, 4> backends;
  auto plan = plan_of(backends);
  plan.affinity_s = 60;
  mesh.set(plan);
  call(20);
  int used = -1;
  for (int i = 0; i < 4; ++i) {
    const auto n = backends[static_cast<std::size_t>(i)].accepted();
    CHECK((n == 0 || n == 20));
    if (n == 20) used = i;
  }
  REQUIRE(used >= 0);
  plan.slots.erase(plan.slots.begin() + used);
  mesh.set(plan);
  call(20);
  CHECK(backends[static_cast<std::size_t>(used)].accepted() == 0);
}

TEST_CASE("consistent hashing sends one caller to one backend") {
  Mesh mesh;
  std::array<Backend, 4> backends;
  mesh.set(plan_of(backends, CF_SVC_HASH));
  call(20);
  int used = 0;
  for (auto& backend : backends) used += backend.accepted() > 0;
  CHECK(used == 1);
}

TEST_CASE("a caller of a version that the service knows goes to the backends of that version") {
  Mesh mesh;
  std::array<Backend, 3> backends;
  auto plan = plan_of(backends);
  plan.by_version["canary"] = {plan.slots[2]};
  plan.slots.pop_back();
  mesh.set(plan);
  call(10);
  CHECK(backends[2].accepted() == 0);
  mesh.caller_is("canary");
  call(10);
  CHECK(backends[2].accepted() == 10);
  mesh.caller_is("of which there is none");
  call(10);
  CHECK(backends[2].accepted() == 0);
}

TEST_CASE("random gives every backend its share, as far as chance does", "[volume]") {
  Mesh mesh;
  std::array<Backend, 4> backends;
  mesh.set(plan_of(backends, CF_SVC_RANDOM));
  call(2000);
  double chi_squared = 0;
  for (auto& backend : backends) {
    const double n = backend.accepted();
    chi_squared += (n - 500) * (n - 500) / 500;
  }
  CHECK(chi_squared < 45.1);  // 3 degrees of freedom, one in 1,000,000,000
}

TEST_CASE("round robin is never more than one connection off, in any window", "[volume]") {
  Mesh mesh;
  std::array<Backend, 5> backends;
  mesh.set(plan_of(backends));
  std::vector<std::size_t> reached;
  for (int i = 0; i < 100; ++i) {
    call(1);
    for (std::size_t at = 0; at < backends.size(); ++at) {
      if (backends[at].accepted() > 0) reached.push_back(at);
    }
  }
  REQUIRE(reached.size() == 100);
  CHECK(std::set<std::size_t>(reached.begin(), reached.begin() + 5).size() == 5);
  for (std::size_t i = 5; i < reached.size(); ++i) CHECK(reached[i] == reached[i - 5]);
}
