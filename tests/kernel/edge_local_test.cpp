// SPDX-License-Identifier: Apache-2.0
// Backends on the edge's own node: what comes goes through the stack, what leaves seems to come from the frontend.
#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <map>
#include <stdexcept>

#include "tests/kernel/edge_program.h"
#include "tests/kernel/mutation.h"
#include "tests/kernel/sockets.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

constexpr int kPassOn = -1;  // TC_ACT_UNSPEC
constexpr int kShot = 2;

struct Ends {
  Peer client, front, backend;
};

Ends ends_of(bool v4) {
  if (v4) return {{"198.51.100.7", 40000}, {"203.0.113.1", 80}, {"10.1.0.11", 8080}};
  return {{"2001:db8::7", 40000}, {"2001:db8:1::1", 80}, {"fd01::b", 8080}};
}

compile::EdgePlan local_plan(const Ends& ends, cf_edge_mode mode, model::Protocol protocol) {
  compile::EdgePlan plan;
  plan.service = {"shop", protocol == model::Protocol::kTcp ? "t" : "u"};
  plan.protocol = protocol;
  plan.frontends.emplace_back(ip(ends.front.address), ends.front.port);
  plan.mode = mode;
  plan.backends.push_back({{ip(ends.backend.address), ends.backend.port}, 1, true, false});
  return plan;
}

std::string line(const Peer& from, const Peer& to, const std::string& rest) {
  const auto side = [](const Peer& one) {
    const bool v6 = one.address.find(':') != std::string::npos;
    return (v6 ? "[" + one.address + "]" : one.address) + ":" + std::to_string(one.port);
  };
  return side(from) + ">" + side(to) + " " + rest;
}

// A connection that stands.
void converse(EdgeProgram& edge, const Ends& ends) {
  edge.run(tcp_frame(ends.client, ends.front, {kSyn, 100}));
  edge.leave(tcp_frame(ends.backend, ends.client, {kSyn | kAck, 7000, 101}));
  edge.run(tcp_frame(ends.client, ends.front, {kAck, 101, 7001}));
}

}  // namespace

TEST_CASE("a backend on this node gets the packet with the client's address, and its answer is the frontend's") {
  EdgeProgram edge;
  const auto mode = GENERATE(CF_EDGE_NAT, CF_EDGE_IPIP);
  const auto ends = ends_of(GENERATE(true, false));
  edge.serve(local_plan(ends, mode, model::Protocol::kTcp));
  edge.serve(local_plan(ends, mode, model::Protocol::kUdp));
  const auto there = edge.run(tcp_frame(ends.client, ends.front, {kSyn}));
  CHECK(there.verdict == CF_EDGE_V_STACK);
  CHECK(there.action == XDP_PASS);
  CHECK(describe(there.frame) == line(ends.client, ends.backend, "tcp S ttl 64"));  // the stack takes the hop
  const auto back = edge.leave(tcp_frame(ends.backend, ends.client, {kSyn | kAck, 7000}));
  CHECK(back.verdict == CF_EDGE_V_REPLIED);
  CHECK(back.action == kPassOn);
  CHECK(describe(back.frame) == line(ends.front, ends.client, "tcp S. ttl 64"));
  const auto asked = edge.run(udp_frame(ends.client, ends.front));
  CHECK(describe(asked.frame) == line(ends.client, ends.backend, "udp ttl 64"));
  const auto told = edge.leave(udp_frame(ends.backend, ends.client));
  CHECK(describe(told.frame) == line(ends.front, ends.client, "udp ttl 64"));
}

TEST_CASE("what else leaves the node leaves as it is, and is counted nowhere") {
  EdgeProgram edge;
  const auto ends = ends_of(GENERATE(true, false));
  const auto as_it_was = [&](const Bytes& frame) {
    const auto outcome = edge.leave(frame);
    CHECK(outcome.verdict == CF_EDGE_VERDICTS);
    CHECK(outcome.action == kPassOn);
    CHECK(outcome.frame == frame);
  };
  as_it_was(tcp_frame(ends.backend, ends.client, {kAck}));  // no service yet
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp));
  const Peer stranger{ends.client.address, 9};
  as_it_was(tcp_frame(ends.backend, stranger, {kAck}));
  as_it_was(tcp_frame({ends.backend.address, 8081}, ends.client, {kAck}));
  as_it_was(udp_frame(ends.backend, ends.client));
  as_it_was(tcp_frame(ends.client, ends.front, {kSyn}));
  as_it_was(Bytes(60, 0));
}

TEST_CASE("errors about a flow to a backend on this node come from the frontend, and reach the backend") {
  EdgeProgram edge;
  const auto ends = ends_of(true);
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kUdp));
  edge.run(udp_frame(ends.client, ends.front));
  const auto met = udp_frame(ends.client, ends.backend);
  const auto refused = edge.leave(icmp_error(ends.backend.address, 3, 3, 0, met));
  CHECK(refused.verdict == CF_EDGE_V_ERROR_FOLLOWED);
  CHECK(describe(refused.frame) ==
        "203.0.113.1>198.51.100.7 icmp 3/3 ttl 64 [198.51.100.7:40000>203.0.113.1:80 udp ttl 64]");
  const auto from_node = edge.leave(icmp_error("10.1.0.254", 3, 4, 1400, met));  // the stack's own: its address stays
  CHECK(describe(from_node.frame) ==
        "10.1.0.254>198.51.100.7 icmp 3/4 mtu 1400 ttl 64 [198.51.100.7:40000>203.0.113.1:80 udp ttl 64]");
  const auto inward = edge.run(icmp_error("192.0.2.9", 3, 4, 1400, udp_frame(ends.front, ends.client)));
  CHECK(inward.verdict == CF_EDGE_V_STACK);
  CHECK(describe(inward.frame) ==
        "192.0.2.9>10.1.0.11 icmp 3/4 mtu 1400 ttl 64 [10.1.0.11:8080>198.51.100.7:40000 udp ttl 64]");
}

TEST_CASE("parts of a datagram from a backend on this node follow the first") {
  EdgeProgram edge;
  const auto ends = ends_of(GENERATE(true, false));
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kUdp));
  edge.run(udp_frame(ends.client, ends.front));
  const auto first = edge.leave(udp_frame(ends.backend, ends.client, Bytes(64, 0xab), {64, 0, 0x2000, 42}));
  CHECK(describe(first.frame) == line(ends.front, ends.client, "udp first ttl 64"));
  const auto later = edge.leave(later_fragment(ends.backend, ends.client, 17, {64, 0, 0x0009, 42}));
  CHECK(describe(later.frame) == ends.front.address + ">" + ends.client.address + " fragment later ttl 64");
}

TEST_CASE("a client that is denied gets no answer of a backend on this node either") {
  EdgeProgram edge;
  const auto ends = ends_of(true);
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp));
  converse(edge, ends);
  compile::DenyRule rule{ip("198.51.100.0"), 24};
  rule.in = false;
  rule.out = true;
  edge.deny({rule});
  const auto answer = edge.leave(tcp_frame(ends.backend, ends.client, {kAck, 7001, 101}));
  CHECK(answer.verdict == CF_EDGE_V_DENIED);
  CHECK(answer.action == kShot);
}

TEST_CASE("a port that a client used for a closed flow is its own again when it asks the backend itself") {
  EdgeProgram edge;
  const auto ends = ends_of(GENERATE(true, false));
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp));
  converse(edge, ends);
  const auto direct = tcp_frame(ends.client, ends.backend, {kSyn, 500});
  CHECK(edge.run(direct).verdict == CF_EDGE_V_NOT_OURS);
  const auto answer = tcp_frame(ends.backend, ends.client, {kSyn | kAck, 9000, 501});
  CHECK(edge.leave(answer).verdict == CF_EDGE_V_REPLIED);  // the flow stands: a SYN that anybody can send ends none
  edge.run(tcp_frame(ends.client, ends.front, {kFin | kAck, 101, 7001}));
  edge.leave(tcp_frame(ends.backend, ends.client, {kFin | kAck, 7001, 102}));
  CHECK(edge.entries("edge_nat") == 0);
  CHECK(edge.leave(tcp_frame(ends.backend, ends.client, {kAck, 7002, 102})).verdict == CF_EDGE_V_REPLIED);
  edge.run(direct);
  const auto own = edge.leave(answer);
  CHECK(own.verdict == CF_EDGE_VERDICTS);
  CHECK(own.frame == answer);
  CHECK(edge.run(tcp_frame(ends.client, ends.front, {kSyn, 900})).verdict == CF_EDGE_V_STACK);  // and a flow's again
  CHECK(edge.leave(answer).verdict == CF_EDGE_V_REPLIED);
}

TEST_CASE("a backend that comes back goes on with the flow that it has still one half of") {
  EdgeProgram edge;
  const auto ends = ends_of(GENERATE(true, false));
  auto plan = local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp);
  edge.serve(plan);
  converse(edge, ends);
  auto none = plan;
  none.backends.clear();
  edge.serve(none);
  CHECK(edge.run(tcp_frame(ends.client, ends.front, {kAck, 101, 7001})).verdict == CF_EDGE_V_NO_BACKEND);
  edge.leave(tcp_frame(ends.backend, ends.client, {kAck, 7001, 101}));  // it is alive
  edge.serve(plan);
  CHECK(edge.run(tcp_frame(ends.client, ends.front, {kAck, 101, 7001})).verdict == CF_EDGE_V_STACK);
  CHECK(edge.leave(tcp_frame(ends.backend, ends.client, {kAck, 7001, 101})).verdict == CF_EDGE_V_REPLIED);
}

TEST_CASE("a backend that is a frontend too answers for both") {
  EdgeProgram edge;
  const auto ends = ends_of(true);
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp));
  auto itself = local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp);
  itself.service.name = "itself";
  itself.frontends = {{ip(ends.backend.address), ends.backend.port}};
  edge.serve(itself);
  const Peer other{ends.client.address, 40001};
  CHECK(describe(edge.run(tcp_frame(ends.client, ends.front, {kSyn})).frame) ==
        line(ends.client, ends.backend, "tcp S ttl 64"));
  CHECK(describe(edge.leave(tcp_frame(ends.backend, ends.client, {kSyn | kAck, 7000})).frame) ==
        line(ends.front, ends.client, "tcp S. ttl 64"));
  CHECK(edge.run(tcp_frame(other, ends.backend, {kSyn})).verdict == CF_EDGE_V_STACK);
  CHECK(describe(edge.leave(tcp_frame(ends.backend, other, {kSyn | kAck, 7000})).frame) ==
        line(ends.backend, other, "tcp S. ttl 64"));
}

TEST_CASE("frames of any shape that leave the node are passed on or translated, and nothing of theirs is lost",
          "[volume]") {
  EdgeProgram edge;
  const auto ends = ends_of(true), six = ends_of(false);
  edge.serve(local_plan(ends, CF_EDGE_NAT, model::Protocol::kTcp));
  auto plan6 = local_plan(six, CF_EDGE_NAT, model::Protocol::kUdp);
  plan6.service.name = "six";
  edge.serve(plan6);
  converse(edge, ends);
  edge.run(udp_frame(six.client, six.front));
  const std::vector<Bytes> seeds{
      tcp_frame(ends.backend, ends.client, {kAck}, Bytes(300)),
      tcp_frame(ends.backend, ends.client, {kAck}, Bytes(30), {64, 20, 0, 7}),
      tcp_frame(ends.backend, ends.client, {kFin | kAck}),
      icmp_error(ends.backend.address, 3, 3, 0, tcp_frame(ends.client, ends.backend)),
      udp_frame(six.backend, six.client, Bytes(90), {64, 8, 0, 7}),
      udp_frame(six.backend, six.client, Bytes(9), {64, 8, 0x2000, 7}),
      icmp_error(six.backend.address, 1, 4, 0, udp_frame(six.client, six.backend)),
      later_fragment(six.backend, six.client, 17, {64, 0, 0x0009, 7}),
  };
  const auto seed = mutation_seed("edge_local");
  CAPTURE(seed);
  Mutator mutator(seed);
  std::map<int, int> actions;
  for (int i = 0; i < 40000; ++i) {
    auto frame = mutator.mutate(seeds[mutator.below(seeds.size())]);
    if (mutator.below(8) == 0 && frame.size() > 15) frame.resize(15 + mutator.below(frame.size() - 15));
    Outcome outcome;
    try {
      outcome = edge.leave(frame);
    } catch (const std::runtime_error&) {
      if (frame.size() >= 54) throw;  // test-run itself refuses frames without an IP header
      continue;
    }
    ++actions[outcome.action];
    if (outcome.verdict == CF_EDGE_VERDICTS) REQUIRE(outcome.frame == frame);
    REQUIRE(outcome.frame.size() == frame.size());
  }
  CHECK(actions.size() == 1);
  CHECK(edge.count(CF_EDGE_V_REPLIED) > 100);
  CHECK(edge.count(CF_EDGE_V_HELPER_FAILED) == 0);
}
