// SPDX-License-Identifier: Apache-2.0
// What the kernel counts of translated TCP connections, with real sockets.
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

Fd accepted(const Backend& backend) { return Fd(accept(backend.fd(), nullptr, nullptr)); }

void close_with_reset(Fd socket) {
  const linger at_once{1, 0};
  REQUIRE(setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
}

std::uint64_t sum(const cf_backend_load& load) {
  return std::accumulate(std::begin(load.results), std::end(load.results), std::uint64_t{0});
}

// A socket that connects to the service and does not wait for it.
Fd connecting() {
  Fd out(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const auto to = socket_address(AF_INET, ip(kService), 80);
  const int done = connect(out.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length);
  REQUIRE((done == 0 || errno == EINPROGRESS));
  return out;
}

void await_retransmission(const Fd& socket) {
  tcp_info info{};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (info.tcpi_total_retrans == 0) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    socklen_t length = sizeof info;
    REQUIRE(getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
  }
}

// A port of this machine that nobody listens on.
std::uint16_t free_port() { return Backend().port(); }

ServicePlan plan_to(std::uint16_t port, const char* address = "127.0.0.1") {
  auto plan = plan_of(std::array<Backend, 0>{});
  plan.slots = {{ip(address), port}};
  return plan;
}

}  // namespace

TEST_CASE("an established connection is counted with its latency, and when it has ended") {
  Mesh mesh;
  REQUIRE(mesh.tables().unwatched().empty());
  std::array<Backend, 1> backends;
  mesh.set(plan_of(backends));
  {
    const auto open = connected(kService, 80);
    const auto load = mesh.load(backends[0].port());
    CHECK(load.results[CF_SVC_R_ESTABLISHED] == 1);
    CHECK(sum(load) == 1);
    CHECK(std::accumulate(std::begin(load.latency), std::end(load.latency), std::uint64_t{0}) == 1);
    CHECK(load.cost >> 32U > 0);
  }
  const auto load = mesh.load(backends[0].port());
  CHECK(load.results[CF_SVC_R_ENDED] == 1);
  CHECK(sum(load) == 2);
  CHECK(load.round_trip_us > 0);
}

TEST_CASE("a connection that the backend closes first, and one that is half closed, end well") {
  Mesh mesh;
  std::array<Backend, 1> backends;
  mesh.set(plan_of(backends));
  {
    const auto open = connected(kService, 80);
    accepted(backends[0]);
    char octet = 0;
    CHECK(recv(open.get(), &octet, 1, 0) == 0);
  }
  CHECK(mesh.load(backends[0].port()).results[CF_SVC_R_ENDED] == 1);
  {
    const auto open = connected(kService, 80);
    const auto other = accepted(backends[0]);
    shutdown(open.get(), SHUT_WR);
    CHECK(mesh.load(backends[0].port()).results[CF_SVC_R_ENDED] == 1);
  }
  CHECK(mesh.load(backends[0].port()).results[CF_SVC_R_ENDED] == 2);
  CHECK(mesh.load(backends[0].port()).results[CF_SVC_R_RESET] == 0);
}

TEST_CASE("a refused connect is a failure, and costs more than a quick answer") {
  Mesh mesh;
  const auto port = free_port();
  mesh.set(plan_to(port));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(connected(kService, 80));
  const auto load = mesh.load(port);
  CHECK(load.results[CF_SVC_R_REFUSED] == 3);
  CHECK(sum(load) == 3);
  CHECK(load.failures_in_row == 3);
  CHECK(load.cost >> 32U >= 900'000);
}

TEST_CASE("an established connection ends a row of failures") {
  Mesh mesh;
  const auto port = free_port();
  mesh.set(plan_to(port));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(connected(kService, 80));
  const Fd server(socket(AF_INET, SOCK_STREAM, 0));
  const auto at = socket_address(AF_INET, ip("127.0.0.1"), port);
  REQUIRE(bind(server.get(), reinterpret_cast<const sockaddr*>(&at.storage), at.length) == 0);
  REQUIRE(listen(server.get(), 1) == 0);
  CHECK(connected(kService, 80));
  CHECK(mesh.load(port).failures_in_row == 0);
}

TEST_CASE("a reset by the backend is counted, one by the caller is not") {
  Mesh mesh;
  std::array<Backend, 1> backends;
  mesh.set(plan_of(backends));
  for (int i = 0; i < 2; ++i) {
    const auto open = connected(kService, 80);
    close_with_reset(accepted(backends[0]));
    char octet = 0;
    CHECK(recv(open.get(), &octet, 1, 0) == -1);
  }
  CHECK(mesh.load(backends[0].port()).results[CF_SVC_R_RESET] == 2);
  CHECK(mesh.load(backends[0].port()).breaks_in_row == 2);
  close_with_reset(connected(kService, 80));
  const auto load = mesh.load(backends[0].port());
  CHECK(load.results[CF_SVC_R_RESET] == 2);
  CHECK(load.results[CF_SVC_R_ENDED] == 1);
  CHECK(load.breaks_in_row == 0);
}

TEST_CASE("a connect that fails before a SYN is sent is counted, and held against nobody") {
  Mesh mesh;
  mesh.set(plan_to(80, "224.0.0.1"));  // multicast: the kernel refuses it as it refuses a missing route
  CHECK_FALSE(connected(kService, 80));
  const auto load = mesh.load(80);
  CHECK(load.results[CF_SVC_R_UNSENT] == 1);
  CHECK(load.failures_in_row == 0);
}

TEST_CASE("a caller that gives up says something about the backend if it has asked twice, and nothing before") {
  Mesh mesh;
  const Backend full;
  mesh.set(plan_to(full.port()));
  REQUIRE(listen(full.fd(), 1) == 0);  // its queue is filled until SYNs stay unanswered
  std::vector<Fd> callers;
  const auto established = [&] { return mesh.load(full.port()).results[CF_SVC_R_ESTABLISHED]; };
  while (established() == callers.size()) callers.push_back(connecting());
  callers.pop_back();
  CHECK(mesh.load(full.port()).results[CF_SVC_R_ABANDONED] == 1);
  CHECK(mesh.load(full.port()).failures_in_row == 0);
  callers.push_back(connecting());
  await_retransmission(callers.back());
  callers.pop_back();
  const auto load = mesh.load(full.port());
  CHECK(load.results[CF_SVC_R_TIMED_OUT] == 1);
  CHECK(load.failures_in_row == 1);
  CHECK(load.cost >> 32U >= 900'000);
}

TEST_CASE("connections that nobody translated are not counted, nor those of a socket that goes elsewhere") {
  Mesh mesh;
  std::array<Backend, 1> backends;
  const Backend other;
  mesh.set(plan_of(backends));
  CHECK(connected("127.0.0.1", other.port()));
  CHECK(sum(mesh.load(backends[0].port())) == 0);
  Fd open = connected(kService, 80);
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  REQUIRE(connect(open.get(), &nowhere, sizeof nowhere) == 0);
  const auto to = socket_address(AF_INET, ip("127.0.0.1"), other.port());
  REQUIRE(connect(open.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) == 0);
  open = Fd();
  const auto load = mesh.load(backends[0].port());
  CHECK(load.results[CF_SVC_R_ESTABLISHED] == 1);
  CHECK(load.results[CF_SVC_R_ENDED] == 1);
  CHECK(sum(load) == 2);
}

TEST_CASE("too many connections that are not established yet are refused, as configured, until they are") {
  Mesh mesh;
  const Backend full;
  REQUIRE(listen(full.fd(), 1) == 0);
  auto plan = plan_to(full.port());
  mesh.set(plan);
  std::vector<Fd> callers;
  const auto established = [&] { return mesh.load(full.port()).results[CF_SVC_R_ESTABLISHED]; };
  while (established() == callers.size()) callers.push_back(connecting());
  const auto pending_before = callers.size() - established();
  plan.circuit_breaker.max_pending = 2;
  mesh.set(plan);
  callers.push_back(connecting());
  callers.push_back(connecting());
  CHECK_FALSE(connected(kService, 80));
  CHECK((errno == ECONNREFUSED || errno == EPERM));
  plan.circuit_breaker.refuse_with_eperm = true;
  mesh.set(plan);
  CHECK_FALSE(connected(kService, 80));
  CHECK(errno == EPERM);
  CHECK(mesh.counter(CF_SVC_C_REFUSED_PENDING) == 2);
  CHECK(mesh.pending() == 2);
  SECTION("one is given up") { callers.pop_back(); }
  SECTION("one is established: there is room in the queue, and its SYN is sent again") {
    for (std::size_t i = 0; i < callers.size(); ++i) accepted(full);
    const pollfd ready{callers.back().get(), POLLOUT, 0};
    auto wait = ready;
    REQUIRE(poll(&wait, 1, 30'000) == 1);
  }
  CHECK(mesh.pending() <= 1);
  callers.push_back(connecting());
  CHECK(pending_before == 1);  // begun without a limit, so in no count
}

TEST_CASE("least latency leaves a backend that fails to the others, and tries one that is new") {
  Mesh mesh;
  std::array<Backend, 2> backends;
  auto plan = plan_of(backends, CF_SVC_LEAST_LATENCY);
  const auto port = free_port();
  plan.slots.push_back({ip("127.0.0.1"), port});
  mesh.set(plan);
  int failed = 0;
  for (int i = 0; i < 300; ++i) failed += connected(kService, 80) ? 0 : 1;
  CHECK(failed <= 1);  // tried once, when nothing was known of it
  CHECK(mesh.load(port).chosen == static_cast<std::uint64_t>(failed));
  for (auto& backend : backends) CHECK(backend.accepted() > 0);
  const Backend fresh;
  plan.slots.push_back({ip("127.0.0.1"), fresh.port()});
  mesh.set(plan);
  for (int i = 0; i < 100; ++i) CHECK(connected(kService, 80));
  CHECK(mesh.load(fresh.port()).results[CF_SVC_R_ESTABLISHED] > 0);
}

TEST_CASE("a backend on probation has one connection at a time, whatever the algorithm") {
  Mesh mesh;
  std::array<Backend, 3> backends;
  const auto algorithm = GENERATE(CF_SVC_ROUND_ROBIN, CF_SVC_RANDOM, CF_SVC_LEAST_CONNECTIONS, CF_SVC_LEAST_LATENCY);
  auto plan = plan_of(backends, algorithm);
  plan.probation.insert(plan.slots[0]);
  mesh.set(plan);
  std::vector<Fd> open;
  for (int i = 0; i < 60; ++i) open.push_back(connected(kService, 80));
  const auto probes = backends[0].accepted();
  CHECK(probes == 1);
  plan.probation.clear();
  mesh.set(plan);
  for (int i = 0; i < 30; ++i) open.push_back(connected(kService, 80));
  CHECK(mesh.load(backends[0].port()).chosen > static_cast<std::uint64_t>(probes));
}
