// SPDX-License-Identifier: Apache-2.0
// Flows over time: backends that come and go, floods, ports that run out, packets of any shape.
#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <map>

#include "tests/kernel/edge_program.h"
#include "tests/kernel/mutation.h"
#include "tests/kernel/sockets.h"

using namespace cortexflow;
using namespace cortexflow::test;
using compile::EdgePlan;

namespace {

const Peer kFront{"203.0.113.1", 80};

EdgePlan plan_of(cf_edge_mode mode, int backends) {
  EdgePlan plan;
  plan.service = {"shop", "web"};
  plan.frontends.emplace_back(ip(kFront.address), kFront.port);
  plan.mode = mode;
  for (int i = 0; i < backends; ++i) plan.backends.push_back({{ip("10.1.0." + std::to_string(10 + i)), 8080}});
  return plan;
}

Peer client(std::uint32_t number) {
  return {"198.51." + std::to_string(number >> 16 & 0xff) + "." + std::to_string(number >> 8 & 0xff),
          static_cast<std::uint16_t>(1024 + (number & 0xff))};
}

std::string backend_of(const Outcome& outcome) {
  const auto text = describe(outcome.frame);
  const auto begin = text.find('>') + 1;
  return text.substr(begin, text.find_first_of(": ", begin) - begin);
}

// Ours is the port that the backend sees.
std::uint16_t ours_of(const Outcome& outcome) {
  const auto text = describe(outcome.frame);
  return static_cast<std::uint16_t>(std::stoi(text.substr(text.find(':') + 1)));
}

// A handshake through the edge; the port of ours that it has.
std::uint16_t establish(EdgeProgram& edge, const Peer& from) {
  const auto syn = edge.run(tcp_frame(from, kFront, {kSyn, 100}));
  const auto ours = ours_of(syn);
  edge.run(tcp_frame({backend_of(syn), 8080}, {"10.1.0.254", ours}, {kSyn | kAck, 7000, 101}));
  edge.run(tcp_frame(from, kFront, {kAck, 101, 7001}));
  return ours;
}

}  // namespace

TEST_CASE("packets of new clients spread over the backends, each flow staying where it is") {
  EdgeProgram edge;
  edge.serve(plan_of(CF_EDGE_IPIP, 4));
  std::map<std::string, int> seen;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const auto first = backend_of(edge.run(tcp_frame(client(i), kFront, {kSyn})));
    ++seen[first];
    if (i % 40 == 0) CHECK(backend_of(edge.run(tcp_frame(client(i), kFront))) == first);
  }
  REQUIRE(seen.size() == 4);
  for (const auto& [backend, flows] : seen) CHECK(std::abs(flows - 1000) < 150);  // 5 sigma
}

TEST_CASE("all flows of a client's address go to one backend where the service wants that") {
  EdgeProgram edge;
  auto plan = plan_of(CF_EDGE_IPIP, 4);
  plan.by_client = true;
  edge.serve(plan);
  const auto first = backend_of(edge.run(tcp_frame({"198.51.100.7", 1}, kFront)));
  for (std::uint16_t port = 2; port < 100; ++port) {
    CHECK(backend_of(edge.run(tcp_frame({"198.51.100.7", port}, kFront))) == first);
  }
}

TEST_CASE("when a backend leaves, the flows of the others stay where they are, before and after the move is over",
          "[volume]") {
  EdgeProgram edge;
  auto plan = plan_of(CF_EDGE_IPIP, 10);
  edge.serve(plan);
  std::map<std::uint32_t, std::string> home;
  const auto packet = [&](std::uint32_t i, std::uint8_t flags) {
    return backend_of(edge.run(tcp_frame(client(i), kFront, {flags})));
  };
  for (std::uint32_t i = 0; i < 3000; ++i) home[i] = packet(i, kSyn);
  const auto gone = plan.backends[3].backend.address.to_string();
  plan.backends.erase(plan.backends.begin() + 3);
  edge.serve(plan);
  const auto elsewhere = [&](std::uint32_t from, std::uint32_t to) {
    int moved = 0;
    for (std::uint32_t i = from; i < to; ++i) {
      const auto now = packet(i, kAck);
      REQUIRE(now != gone);
      if (home[i] != gone && now != home[i]) ++moved;
    }
    return moved;
  };
  CHECK(elsewhere(0, 3000) == 0);
  // New flows go by the new table, and stay there when their second packet comes.
  for (std::uint32_t i = 3000; i < 6000; ++i) home[i] = packet(i, kSyn);
  CHECK(elsewhere(3000, 6000) == 0);
  CHECK(edge.count(CF_EDGE_C_PINNED) > 0);
  CHECK(edge.count(CF_EDGE_C_PINNED) < 3000 * 5 / 100);  // of the slots that moved, alone
  // Old flows are pinned once they have been seen for more than a second.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2200);
  while (std::chrono::steady_clock::now() < until) CHECK(elsewhere(0, 3000) == 0);
  edge.apply(edge.book().settle(plan.service));
  CHECK(elsewhere(0, 6000) == 0);
  CHECK(edge.count(CF_EDGE_C_LOST) == 0);
}

TEST_CASE("a draining backend keeps its flows and gets no new ones") {
  EdgeProgram edge;
  auto plan = plan_of(CF_EDGE_IPIP, 3);
  edge.serve(plan);
  std::map<std::uint32_t, std::string> home;
  for (std::uint32_t i = 0; i < 300; ++i) home[i] = backend_of(edge.run(tcp_frame(client(i), kFront, {kSyn})));
  plan.backends[1].draining = true;
  edge.serve(plan);
  for (std::uint32_t i = 0; i < 300; ++i) CHECK(backend_of(edge.run(tcp_frame(client(i), kFront))) == home[i]);
  for (std::uint32_t i = 300; i < 600; ++i) {
    CHECK(backend_of(edge.run(tcp_frame(client(i), kFront, {kSyn}))) != "10.1.0.11");
  }
}

TEST_CASE("strangers who flood moved slots make candidates, and push out no pin", "[volume]") {
  EdgeProgram edge({"", false, 1024, 1024, 1024, 1024});
  auto plan = plan_of(CF_EDGE_IPIP, 2);
  edge.serve(plan);
  plan.backends.push_back({{ip("10.1.0.99"), 8080}});  // a third of the slots move
  edge.serve(plan);
  std::map<std::uint32_t, std::string> home;
  for (std::uint32_t i = 0; i < 300; ++i) {
    home[i] = backend_of(edge.run(tcp_frame(client(i), kFront, {kSyn})));
    CHECK(backend_of(edge.run(tcp_frame(client(i), kFront))) == home[i]);
  }
  const auto pins = edge.entries("edge_pins");
  CHECK(pins == edge.count(CF_EDGE_C_PINNED));
  CHECK(pins > 50);
  const auto kind = GENERATE(0, 1, 2);
  for (std::uint32_t i = 100000; i < 150000; ++i) {
    edge.run(kind == 0   ? tcp_frame(client(i), kFront, {kSyn})
             : kind == 1 ? tcp_frame(client(i), kFront, {kAck})
                         : tcp_frame(client(i), kFront, {kRst}));
  }
  CHECK(edge.count(CF_EDGE_C_CANDIDATE) > 10000);
  CHECK(edge.entries("edge_pins") == pins);
  for (std::uint32_t i = 0; i < 300; ++i) CHECK(backend_of(edge.run(tcp_frame(client(i), kFront))) == home[i]);
}

TEST_CASE("a SYN flood fills the table of half-open flows, and no flow that stands loses its place or port",
          "[volume]") {
  EdgeProgram edge({"", false, 4096, 1024, 1024, 1024});
  auto settings = edge.settings;
  settings.nat_port_min = 65000;  // ports are short as well
  edge.set(settings);
  edge.serve(plan_of(CF_EDGE_NAT, 2));
  std::map<std::uint32_t, std::pair<std::string, std::uint16_t>> stands;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto ours = establish(edge, client(i));
    const auto outcome = edge.run(tcp_frame(client(i), kFront, {kAck, 101, 7001}, {1}));
    stands[i] = {backend_of(outcome), ours_of(outcome)};
    CHECK(ours_of(outcome) == ours);
  }
  CHECK(edge.count(CF_EDGE_C_ESTABLISHED) == 100);
  CHECK(edge.entries("edge_nat") == 200);
  for (std::uint32_t i = 100000; i < 130000; ++i) {
    const auto outcome = edge.run(tcp_frame(client(i), kFront, {kSyn, i}));
    if (outcome.verdict != CF_EDGE_V_TRANSLATED) CHECK(outcome.verdict == CF_EDGE_V_NO_PORT);
    // He can't know what the backend would have to hear.
    if (i % 10 == 0) edge.run(tcp_frame(client(i), kFront, {kAck, i + 1, i}));
  }
  CHECK(edge.entries("edge_nat") == 200);
  CHECK(edge.count(CF_EDGE_C_PORT_TAKEN) > 1000);
  for (const auto& [number, place] : stands) {
    const auto outcome = edge.run(tcp_frame(client(number), kFront, {kAck, 102, 7001}));
    CHECK(std::pair(backend_of(outcome), ours_of(outcome)) == place);
    const auto answer = edge.run(tcp_frame({place.first, 8080}, {"10.1.0.254", place.second}, {kAck}));
    CHECK(answer.verdict == CF_EDGE_V_REPLIED);
    const auto to = client(number);
    CHECK(describe(answer.frame) == "203.0.113.1:80>" + to.address + ":" + std::to_string(to.port) + " tcp . ttl 63");
  }
  // Between two of the strangers' packets, a caller still gets through.
  establish(edge, client(200));
  CHECK(edge.count(CF_EDGE_C_ESTABLISHED) == 101);
}

TEST_CASE("ports of flows that stand are not given away: with none left, new flows are dropped and said") {
  EdgeProgram edge;
  auto settings = edge.settings;
  settings.nat_port_min = 65500;
  settings.nat_port_max = 65507;
  edge.set(settings);
  edge.serve(plan_of(CF_EDGE_NAT, 1));
  std::uint32_t next = 0;
  while (edge.entries("edge_nat") < 16 && next < 1000) {  // eight tries don't find each of eight ports at once
    const auto syn = edge.run(tcp_frame(client(next), kFront, {kSyn, 100}));
    if (syn.verdict == CF_EDGE_V_TRANSLATED) {
      edge.run(tcp_frame({"10.1.0.10", 8080}, {"10.1.0.254", ours_of(syn)}, {kSyn | kAck, 7000, 101}));
      edge.run(tcp_frame(client(next), kFront, {kAck, 101, 7001}));
    }
    ++next;
  }
  REQUIRE(edge.entries("edge_nat") == 16);
  CHECK(edge.run(tcp_frame(client(next), kFront, {kSyn})).verdict == CF_EDGE_V_NO_PORT);
  CHECK(edge.entries("edge_opening") == 0);
}

TEST_CASE("a closed flow's port goes to one whose SYN the backend takes in TIME-WAIT, and to any after its RST") {
  EdgeProgram edge;
  auto settings = edge.settings;
  settings.nat_port_min = settings.nat_port_max = 65500;
  edge.set(settings);
  edge.serve(plan_of(CF_EDGE_NAT, 1));
  const Peer backend{"10.1.0.10", 8080}, ours{"10.1.0.254", 65500};
  const auto begin = [&](std::uint32_t number, std::uint32_t sequence) {
    if (edge.run(tcp_frame(client(number), kFront, {kSyn, sequence})).verdict != CF_EDGE_V_TRANSLATED) return false;
    edge.run(tcp_frame(backend, ours, {kSyn | kAck, 7000, sequence + 1}));
    edge.run(tcp_frame(client(number), kFront, {kAck, sequence + 1, 7001}));
    return true;
  };
  REQUIRE(begin(1, 100));
  CHECK_FALSE(begin(2, 5000));  // it stands
  edge.run(tcp_frame(backend, ours, {kFin | kAck, 7001, 101}));
  CHECK_FALSE(begin(2, 5000));  // half of it does
  edge.run(tcp_frame(client(1), kFront, {kFin | kAck, 101, 7002}));
  edge.run(tcp_frame(backend, ours, {kAck, 7002, 102}));
  CHECK(edge.entries("edge_nat") == 0);  // it takes no room from those that stand
  CHECK(edge.run(tcp_frame(client(1), kFront, {kAck, 102, 7002})).verdict == CF_EDGE_V_TRANSLATED);
  CHECK_FALSE(begin(2, 102));  // nor older than what the backend has
  REQUIRE(begin(2, 103));
  CHECK(edge.count(CF_EDGE_C_PORT_REUSED) == 1);
  CHECK(edge.count(CF_EDGE_C_PORT_TAKEN) == 0);
  CHECK_FALSE(begin(1, 9000));  // who had it before has it no more
  edge.run(tcp_frame(client(2), kFront, {kRst, 104}));
  CHECK_FALSE(begin(3, 9000));  // a client's word, which anybody can send, gives nothing away
  CHECK(edge.entries("edge_nat") == 2);
  edge.run(tcp_frame(backend, ours, {kRst, 7001}));
  REQUIRE(begin(3, 50));
}

TEST_CASE("a translated flow whose backend has gone goes to another") {
  EdgeProgram edge;
  auto plan = plan_of(CF_EDGE_NAT, 2);
  edge.serve(plan);
  establish(edge, client(1));
  const auto had = backend_of(edge.run(tcp_frame(client(1), kFront)));
  std::erase_if(plan.backends, [&](const auto& one) { return one.backend.address.to_string() == had; });
  edge.serve(plan);
  CHECK(backend_of(edge.run(tcp_frame(client(1), kFront))) != had);
}

TEST_CASE("packets of any shape have exactly one verdict, and lead nowhere but to a backend or a client", "[volume]") {
  EdgeProgram edge;
  const auto mode = GENERATE(CF_EDGE_NAT, CF_EDGE_IPIP, CF_EDGE_GUE);
  auto plan = plan_of(mode, 2);
  edge.serve(plan);
  auto six = plan;
  six.service.name = "six";
  six.frontends[0].first = ip("2001:db8:1::1");
  six.backends = {{{ip("fd01::b"), 8080}}, {{ip("fd01::c"), 8080}, 1, true}};
  edge.serve(six);
  edge.deny({{ip("198.51.7.0"), 24}});
  const Peer to6{"2001:db8:1::1", 80}, from6{"2001:db8::7", 7};
  const Peer from{"198.51.100.7", 7};
  const auto open = edge.run(tcp_frame(from, kFront, {kSyn})).frame;  // a flow, so that there is more to go wrong
  const auto port_at = [&](std::size_t at) { return static_cast<std::uint16_t>(open[at] << 8 | open[at + 1]); };
  const Peer ours{"10.1.0.254", port_at(34)};
  const Peer backend{open[33] == 11 ? "10.1.0.11" : "10.1.0.10", 8080};
  const std::vector<Bytes> seeds{
      tcp_frame(backend, ours, {kSyn | kAck}),
      icmp_error("10.1.0.9", 3, 4, 1400, tcp_frame(ours, backend)),
      tcp_frame(from, kFront, {kSyn}),
      tcp_frame(from, kFront, {}, Bytes(100), {64, 20, 0, 7}),
      udp_frame(from, kFront, Bytes(40), {64, 0, 0x2000, 7}),
      later_fragment(from, kFront, 6, {64, 0, 0x2009, 7}),
      tcp_frame(from6, to6, {}, Bytes(1440), {64, 24, 0, 7}),
      udp_frame(from6, to6, Bytes(9), {64, 8, 0x2000, 7}),
      icmp_error("192.0.2.9", 3, 4, 1400, tcp_frame(kFront, from)),
      icmp_error("2001:db8::99", 2, 0, 1300, tcp_frame(to6, from6)),
      tcp_frame({"10.1.0.10", 8080}, {"10.1.0.254", 62000}),
      tcp_frame({"fd01::c", 8080}, from6),
  };
  const auto seed = mutation_seed("edge");
  CAPTURE(seed);
  Mutator mutator(seed);
  std::map<int, int> actions;
  for (int i = 0; i < 60000; ++i) {
    auto frame = mutator.mutate(seeds[mutator.below(seeds.size())]);
    if (mutator.below(8) == 0) frame.resize(14 + mutator.below(frame.size() - 13));
    const auto outcome = edge.run(frame);  // throws where the accounting doesn't close
    ++actions[outcome.action];
    if (outcome.verdict < CF_EDGE_V_STACK) {
      REQUIRE(outcome.action == XDP_PASS);
      REQUIRE(outcome.frame == frame);
    }
  }
  CHECK(actions[XDP_ABORTED] == 0);
  CHECK(edge.count(CF_EDGE_V_HELPER_FAILED) == 0);
  CHECK(actions[XDP_REDIRECT] > 100);
  CHECK(actions[XDP_PASS] > 100);
}
