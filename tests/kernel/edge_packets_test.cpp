// SPDX-License-Identifier: Apache-2.0
// What the edge does with a packet: verdict, what is sent, what is counted.
#include <linux/bpf.h>

#include <catch2/catch.hpp>

#include "tests/kernel/edge_program.h"
#include "tests/kernel/sockets.h"

using namespace cortexflow;
using namespace cortexflow::test;
using compile::EdgePlan;

namespace {

const Peer kClient{"198.51.100.7", 40000}, kFront{"203.0.113.1", 80};
const Peer kClient6{"2001:db8::7", 40000}, kFront6{"2001:db8:1::1", 80};

EdgePlan plan_of(cf_edge_mode mode, const Peer& front, const std::string& backend,
                 model::Protocol protocol = model::Protocol::kTcp) {
  EdgePlan plan;
  plan.service = {"shop", front.address + (protocol == model::Protocol::kTcp ? "t" : "u")};
  plan.protocol = protocol;
  plan.frontends.emplace_back(ip(front.address), front.port);
  plan.mode = mode;
  plan.backends.push_back({{ip(backend), 8080}});
  return plan;
}

// Both protocols, both families, one backend each.
void serve_all(EdgeProgram& edge, cf_edge_mode mode) {
  for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
    edge.serve(plan_of(mode, kFront, "10.1.0.11", protocol));
    edge.serve(plan_of(mode, kFront6, "fd01::b", protocol));
  }
}

// The port of ours in what `describe` says of a translated packet.
Peer source_of(const Outcome& outcome) {
  const auto text = describe(outcome.frame);
  const auto end = text.find('>');
  const auto colon = text.rfind(':', end);
  auto address = text.substr(0, colon);
  if (address.front() == '[') address = address.substr(1, address.size() - 2);
  return {address, static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1, end - colon - 1)))};
}

std::string said(const Outcome& outcome, const Peer& ours) {
  auto text = describe(outcome.frame);
  const auto port = ":" + std::to_string(ours.port);
  const auto at = text.find(port);
  return at == std::string::npos ? text : text.replace(at, port.size(), ":P");
}

}  // namespace

TEST_CASE("what is not the edge's goes to the stack as it came") {
  EdgeProgram edge;
  serve_all(edge, CF_EDGE_NAT);
  struct Row {
    const char* sentence;
    Bytes frame;
    cf_edge_counter verdict;
  };
  const auto with_type = [](Bytes frame, std::uint8_t high, std::uint8_t low) {
    frame[12] = high, frame[13] = low;
    return frame;
  };
  const auto cut = [](Bytes frame, std::size_t size) {
    frame.resize(size);
    return frame;
  };
  const auto set = [](Bytes frame, std::size_t at, std::uint8_t value) {
    frame[at] = value;
    return frame;
  };
  const auto whole = tcp_frame(kClient, kFront);
  const std::vector<Row> rows{
      {"another port of the same address", tcp_frame(kClient, {kFront.address, 81}), CF_EDGE_V_NOT_OURS},
      {"another address", udp_frame(kClient, {"203.0.113.2", 80}), CF_EDGE_V_NOT_OURS},
      {"another address, IPv6", tcp_frame(kClient6, {"2001:db8:1::2", 80}), CF_EDGE_V_NOT_OURS},
      {"ARP", with_type(whole, 0x08, 0x06), CF_EDGE_V_NOT_OURS},
      {"a VLAN tag", with_type(whole, 0x81, 0x00), CF_EDGE_V_NOT_OURS},
      {"SCTP", set(whole, 23, 132), CF_EDGE_V_NOT_OURS},
      {"an ICMP echo request", set(set(whole, 23, 1), 34, 8), CF_EDGE_V_NOT_OURS},
      {"an ICMP error about a flow of another's",
       icmp_error("192.0.2.9", 3, 1, 0, tcp_frame({"203.0.113.2", 80}, kClient)), CF_EDGE_V_NOT_OURS},
      {"an ICMP error that was sent to another than it quotes",
       set(icmp_error("192.0.2.9", 3, 1, 0, tcp_frame(kFront, kClient)), 33, 9), CF_EDGE_V_NOT_OURS},
      {"a header length below 5", set(whole, 14, 0x44), CF_EDGE_V_MALFORMED},
      {"version 5", set(whole, 14, 0x55), CF_EDGE_V_MALFORMED},
      {"a length beyond the frame", set(whole, 17, 200), CF_EDGE_V_MALFORMED},
      {"cut in the TCP header", cut(whole, 14 + 30), CF_EDGE_V_MALFORMED},
      {"cut in the IP header", cut(whole, 14 + 12), CF_EDGE_V_MALFORMED},
      {"IPv6 with more extension headers than anyone sends", tcp_frame(kClient6, kFront6, {}, {}, {64, 8, 0, 0}),
       CF_EDGE_V_TRANSLATED},
      {"a later fragment without a first", later_fragment(kClient, kFront, 17, {64, 0, 0x0010, 99}),
       CF_EDGE_V_FRAGMENT_UNKNOWN},
      {"a packet to a port of ours that no flow has", tcp_frame(kClient, {"10.1.0.254", 61234}),
       CF_EDGE_V_REPLY_UNKNOWN},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    const auto outcome = edge.run(row.frame);
    CHECK(outcome.verdict == row.verdict);
    if (row.verdict == CF_EDGE_V_TRANSLATED) continue;  // the row that is ours: see the next test
    CHECK(outcome.action == XDP_PASS);
    CHECK(outcome.frame == row.frame);
  }
}

TEST_CASE(
    "a translated packet goes to the backend from an address and port of ours, its answer back as the frontend's") {
  EdgeProgram edge;
  serve_all(edge, CF_EDGE_NAT);
  struct Row {
    const char* sentence;
    Bytes there;
    const char* sent;
    std::function<Bytes(const Peer&)> answer;
    const char* returned;
  };
  const Peer backend{"10.1.0.11", 8080}, backend6{"fd01::b", 8080};
  const std::vector<Row> rows{
      {"TCP over IPv4", tcp_frame(kClient, kFront, {kSyn}), "10.1.0.254:P>10.1.0.11:8080 tcp S ttl 63",
       [&](const Peer& ours) { return tcp_frame(backend, ours, {kSyn | kAck}); },
       "203.0.113.1:80>198.51.100.7:40000 tcp S. ttl 63"},
      {"TCP over IPv6", tcp_frame(kClient6, kFront6, {kSyn}), "[fd01::fe]:P>[fd01::b]:8080 tcp S ttl 63",
       [&](const Peer& ours) { return tcp_frame(backend6, ours, {kSyn | kAck}, {1, 2, 3}); },
       "[2001:db8:1::1]:80>[2001:db8::7]:40000 tcp S. ttl 63"},
      {"UDP over IPv4, an odd length", udp_frame(kClient, kFront, {1, 2, 3}), "10.1.0.254:P>10.1.0.11:8080 udp ttl 63",
       [&](const Peer& ours) { return udp_frame(backend, ours); }, "203.0.113.1:80>198.51.100.7:40000 udp ttl 63"},
      {"UDP over IPv6", udp_frame(kClient6, kFront6), "[fd01::fe]:P>[fd01::b]:8080 udp ttl 63",
       [&](const Peer& ours) { return udp_frame(backend6, ours); },
       "[2001:db8:1::1]:80>[2001:db8::7]:40000 udp ttl 63"},
      {"UDP without a checksum stays so", udp_frame(kClient, kFront, {1}, {}, false),
       "10.1.0.254:P>10.1.0.11:8080 udp unchecked ttl 63",
       [&](const Peer& ours) { return udp_frame(backend, ours, {1}, {}, false); },
       "203.0.113.1:80>198.51.100.7:40000 udp unchecked ttl 63"},
      {"IPv4 options stay", tcp_frame(kClient, kFront, {}, {}, {64, 12, 0, 7}),
       "10.1.0.254:P>10.1.0.11:8080 tcp . options ttl 63",
       [&](const Peer& ours) { return tcp_frame(backend, ours, {}, {}, {64, 40, 0, 7}); },
       "203.0.113.1:80>198.51.100.7:40000 tcp . options ttl 63"},
      {"IPv6 extension headers stay", tcp_frame(kClient6, kFront6, {}, {}, {64, 16, 0, 7}),
       "[fd01::fe]:P>[fd01::b]:8080 tcp . options ttl 63",
       [&](const Peer& ours) { return tcp_frame(backend6, ours, {}, {}, {64, 8, 0, 7}); },
       "[2001:db8:1::1]:80>[2001:db8::7]:40000 tcp . options ttl 63"},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    const auto there = edge.run(row.there);
    const auto ours = source_of(there);
    CHECK(said(there, ours) == row.sent);
    CHECK((ours.port >= 61000));
    CHECK(there.verdict == CF_EDGE_V_TRANSLATED);
    CHECK(there.action == XDP_REDIRECT);
    const auto back = edge.run(row.answer(ours));
    CHECK(describe(back.frame) == row.returned);
    CHECK(back.verdict == CF_EDGE_V_REPLIED);
    CHECK(said(edge.run(row.there), ours) == row.sent);  // the same port again
  }
}

TEST_CASE("with direct return the packet goes to the backend as it is, in another") {
  EdgeProgram edge;
  const auto mode = GENERATE(CF_EDGE_IPIP, CF_EDGE_GUE);
  serve_all(edge, mode);
  const auto in = [&](const std::string& outer, const std::string& inner, const Outcome& outcome) {
    const auto text = describe(outcome.frame);
    CAPTURE(text);
    const auto expected = " [" + inner + "]";
    CHECK(text.size() > expected.size());
    CHECK(text.substr(text.size() - std::min(text.size(), expected.size())) == expected);
    CHECK(text.find(outer) != std::string::npos);
    CHECK(outcome.verdict == CF_EDGE_V_TUNNELLED);
    CHECK(outcome.action == XDP_REDIRECT);
  };
  const bool ipip = mode == CF_EDGE_IPIP;
  const std::string four = ipip ? "10.1.0.254>10.1.0.11 ipip ttl 64 [" : ">10.1.0.11:6080 gue ttl 64 [";
  const std::string six = ipip ? "fd01::fe>fd01::b ipip ttl 64 [" : ">[fd01::b]:6080 gue ttl 64 [";
  in(four, "198.51.100.7:40000>203.0.113.1:80 tcp S ttl 63", edge.run(tcp_frame(kClient, kFront, {kSyn})));
  in(four, "198.51.100.7:40000>203.0.113.1:80 udp ttl 63", edge.run(udp_frame(kClient, kFront)));
  in(six, "[2001:db8::7]:40000>[2001:db8:1::1]:80 tcp . ttl 63", edge.run(tcp_frame(kClient6, kFront6)));
  in(six, "[2001:db8::7]:40000>[2001:db8:1::1]:80 udp ttl 63", edge.run(udp_frame(kClient6, kFront6)));
  in(four, "198.51.100.7:40000>203.0.113.1:80 tcp . options ttl 63",
     edge.run(tcp_frame(kClient, kFront, {}, {}, {64, 8, 0, 7})));
  CHECK(edge.entries("edge_pins") + edge.entries("edge_candidates") + edge.entries("edge_nat") == 0);
}

TEST_CASE("a frontend for certain ranges drops who is of none of them, in every mode") {
  EdgeProgram edge;
  auto plan = plan_of(GENERATE(CF_EDGE_NAT, CF_EDGE_IPIP), kFront, "10.1.0.11");
  plan.frontends.emplace_back(ip("203.0.113.2"), 80);
  plan.limited = {plan.frontends[0]};
  plan.ranges = {{ip("198.51.100.0"), 25}, {ip("198.51.101.9"), 32}};
  edge.serve(plan);
  const auto verdict = [&](const std::string& client, const std::string& front = kFront.address) {
    return edge.run(tcp_frame({client, 40000}, {front, 80}, {kSyn})).verdict;
  };
  const auto served = plan.mode == CF_EDGE_NAT ? CF_EDGE_V_TRANSLATED : CF_EDGE_V_TUNNELLED;
  CHECK(verdict("198.51.100.127") == served);
  CHECK(verdict("198.51.101.9") == served);
  CHECK(verdict("198.51.100.128") == CF_EDGE_V_OUT_OF_RANGE);
  CHECK(verdict("198.51.100.128", "203.0.113.2") == served);  // a node port, say
  plan.ranges = {{ip("198.51.100.128"), 25}};
  edge.serve(plan);
  CHECK(verdict("198.51.100.128") == served);
  CHECK(verdict("198.51.100.127") == CF_EDGE_V_OUT_OF_RANGE);  // also what stood
  plan.ranges.clear();
  edge.serve(plan);
  CHECK(verdict("198.51.100.128") == CF_EDGE_V_OUT_OF_RANGE);
  plan.limited.clear();
  edge.serve(plan);
  CHECK(verdict("198.51.100.127") == served);
  CHECK(edge.entries("edge_ranges") == 0);
}

TEST_CASE("fragments follow the first of them") {
  EdgeProgram edge;
  const bool tunnel = GENERATE(false, true);
  serve_all(edge, tunnel ? CF_EDGE_IPIP : CF_EDGE_NAT);
  const Bytes part(64, 0xab);
  const auto first = edge.run(udp_frame(kClient, kFront, part, {64, 0, 0x2000, 42}));
  const auto later = edge.run(later_fragment(kClient, kFront, 17, {64, 0, 0x0009, 42}));
  const auto first6 = edge.run(udp_frame(kClient6, kFront6, part, {64, 0, 0x2000, 42}));
  const auto later6 = edge.run(later_fragment(kClient6, kFront6, 17, {64, 0, 0x0009, 42}));
  CHECK(edge.count(CF_EDGE_C_FRAGMENT) == 2);
  if (tunnel) {
    CHECK(describe(later.frame) == "10.1.0.254>10.1.0.11 ipip ttl 64 [198.51.100.7>203.0.113.1 fragment later ttl 63]");
    CHECK(describe(later6.frame) == "fd01::fe>fd01::b ipip ttl 64 [2001:db8::7>2001:db8:1::1 fragment later ttl 63]");
  } else {
    CHECK(said(first, source_of(first)) == "10.1.0.254:P>10.1.0.11:8080 udp first ttl 63");
    CHECK(describe(later.frame) == "10.1.0.254>10.1.0.11 fragment later ttl 63");
    CHECK(said(first6, source_of(first6)) == "[fd01::fe]:P>[fd01::b]:8080 udp first ttl 63");
    CHECK(describe(later6.frame) == "fd01::fe>fd01::b fragment later ttl 63");
  }
  const auto other = edge.run(later_fragment(kClient, kFront, 17, {64, 0, 0x0009, 43}));
  CHECK(other.verdict == CF_EDGE_V_FRAGMENT_UNKNOWN);
}

TEST_CASE("what is too big for its way, or at the end of its hops, is answered") {
  EdgeProgram edge;
  edge.serve(plan_of(CF_EDGE_IPIP, kFront, "10.1.0.11"));
  edge.serve(plan_of(CF_EDGE_IPIP, kFront6, "fd01::b"));
  const auto fits = edge.run(tcp_frame(kClient, kFront, {}, Bytes(1440)));
  CHECK(fits.verdict == CF_EDGE_V_TUNNELLED);
  const auto large = edge.run(tcp_frame(kClient, kFront, {}, Bytes(1441)));
  CHECK(large.verdict == CF_EDGE_V_TOO_BIG);
  CHECK(large.action == XDP_TX);
  CHECK(describe(large.frame) ==
        "203.0.113.1>198.51.100.7 icmp 3/4 mtu 1480 ttl 64 [198.51.100.7:40000>203.0.113.1:80 tcp ttl 64]");
  CHECK(Bytes(large.frame.begin(), large.frame.begin() + 12) == Bytes{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1});
  const auto large6 = edge.run(tcp_frame(kClient6, kFront6, {}, Bytes(1401)));
  CHECK(describe(large6.frame) ==
        "2001:db8:1::1>2001:db8::7 icmp 2/0 mtu 1460 ttl 64 "
        "[[2001:db8::7]:40000>[2001:db8:1::1]:80 tcp ttl 64]");
  const auto last = edge.run(tcp_frame(kClient, kFront, {}, {}, {1, 0, 0, 7}));
  CHECK(last.verdict == CF_EDGE_V_TTL_EXCEEDED);
  CHECK(describe(last.frame) ==
        "203.0.113.1>198.51.100.7 icmp 11/0 ttl 64 [198.51.100.7:40000>203.0.113.1:80 tcp ttl 1]");
  const auto last6 = edge.run(tcp_frame(kClient6, kFront6, {}, {}, {1, 0, 0, 7}));
  CHECK(describe(last6.frame) ==
        "2001:db8:1::1>2001:db8::7 icmp 3/0 ttl 64 [[2001:db8::7]:40000>[2001:db8:1::1]:80 tcp ttl 1]");
  const auto options = edge.run(tcp_frame(kClient, kFront, {}, {}, {1, 40, 0, 7}));  // more header than is quoted
  CHECK(options.verdict == CF_EDGE_V_UNANSWERABLE);
  CHECK(options.action == XDP_DROP);
}

TEST_CASE("an ICMP error goes where its flow goes, and quotes what the receiver knows") {
  EdgeProgram edge;
  SECTION("translated") {
    serve_all(edge, CF_EDGE_NAT);
    const auto ours = source_of(edge.run(tcp_frame(kClient, kFront, {kSyn})));
    const auto ours6 = source_of(edge.run(udp_frame(kClient6, kFront6)));
    const auto port = std::to_string(ours.port), port6 = std::to_string(ours6.port);
    // A router on the way to the client, about an answer.
    auto outcome = edge.run(icmp_error("192.0.2.9", 3, 4, 1400, tcp_frame(kFront, kClient)));
    CHECK(outcome.verdict == CF_EDGE_V_ERROR_FOLLOWED);
    CHECK(describe(outcome.frame) ==
          "192.0.2.9>10.1.0.11 icmp 3/4 mtu 1400 ttl 63 [10.1.0.11:8080>10.1.0.254:" + port + " tcp ttl 64]");
    outcome = edge.run(icmp_error("2001:db8::99", 2, 0, 1300, udp_frame(kFront6, kClient6)));
    CHECK(describe(outcome.frame) ==
          "2001:db8::99>fd01::b icmp 2/0 mtu 1300 ttl 63 [[fd01::b]:8080>[fd01::fe]:" + port6 + " udp ttl 64]");
    // The backend itself, about what it was sent.
    outcome = edge.run(icmp_error("10.1.0.11", 3, 3, 0, tcp_frame(ours, {"10.1.0.11", 8080})));
    CHECK(outcome.verdict == CF_EDGE_V_ERROR_FOLLOWED);
    CHECK(describe(outcome.frame) ==
          "10.1.0.11>198.51.100.7 icmp 3/3 ttl 63 [198.51.100.7:40000>203.0.113.1:80 tcp ttl 64]");
    outcome = edge.run(icmp_error("fd01::b", 1, 4, 0, udp_frame(ours6, {"fd01::b", 8080})));
    CHECK(describe(outcome.frame) ==
          "fd01::b>2001:db8::7 icmp 1/4 ttl 63 [[2001:db8::7]:40000>[2001:db8:1::1]:80 udp ttl 64]");
    CHECK(edge.run(icmp_error("192.0.2.9", 3, 1, 0, tcp_frame(kFront, {"198.51.100.7", 1}))).verdict ==
          CF_EDGE_V_REPLY_UNKNOWN);
  }
  SECTION("with direct return") {
    auto plan = plan_of(CF_EDGE_IPIP, kFront, "10.1.0.11");
    plan.backends.push_back({{ip("10.1.0.12"), 8080}});
    plan.backends.push_back({{ip("10.1.0.13"), 8080}});
    edge.serve(plan);
    for (std::uint16_t port = 1000; port < 1050; ++port) {
      const Peer client{kClient.address, port};
      const auto sent = describe(edge.run(tcp_frame(client, kFront)).frame);
      const auto outcome = edge.run(icmp_error("192.0.2.9", 3, 4, 1400, tcp_frame(kFront, client)));
      CHECK(outcome.verdict == CF_EDGE_V_ERROR_FOLLOWED);
      CHECK(describe(outcome.frame) == sent.substr(0, sent.find(" [")) +
                                           " [192.0.2.9>203.0.113.1 icmp 3/4 mtu 1400 ttl 63 [203.0.113.1:80>" +
                                           client.address + ":" + std::to_string(port) + " tcp ttl 64]]");
    }
  }
}

TEST_CASE("whom the deny list names is kept out before anything is made for him") {
  EdgeProgram edge;
  serve_all(edge, CF_EDGE_NAT);
  const auto verdict = [&](const Peer& from, const Peer& to) { return edge.run(tcp_frame(from, to, {kSyn})).verdict; };
  compile::DenyRule rule{ip("198.51.100.0"), 24};
  SECTION("by prefix") {
    edge.deny({rule});
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_DENIED);
    CHECK(edge.entries("edge_opening") == 0);
    CHECK(verdict({"198.51.101.1", 40000}, kFront) == CF_EDGE_V_TRANSLATED);
    CHECK(verdict(kClient6, kFront6) == CF_EDGE_V_TRANSLATED);
    CHECK(verdict(kClient, {kFront.address, 81}) == CF_EDGE_V_NOT_OURS);
  }
  SECTION("by prefix, IPv6") {
    edge.deny({{ip("2001:db8::"), 64}});
    CHECK(verdict(kClient6, kFront6) == CF_EDGE_V_DENIED);
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_TRANSLATED);
  }
  SECTION("for one port") {
    rule.port = 80;
    edge.deny({rule});
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_DENIED);
    rule.port = 81;
    edge.deny({rule});
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_TRANSLATED);
  }
  SECTION("until it expires, and what is around it stays") {
    rule.until_ns = 1;
    edge.deny({rule});
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_TRANSLATED);
    edge.deny({rule, {ip("198.0.0.0"), 8}});
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_DENIED);
  }
  SECTION("in audit: counted and let pass") {
    rule.audit = true;
    edge.deny({rule});
    CHECK(verdict(kClient, kFront) == CF_EDGE_V_TRANSLATED);
    CHECK(edge.count(CF_EDGE_C_AUDITED) == 1);
  }
  SECTION("outwards: his packets come in, answers to him stop here") {
    rule.in = false;
    rule.out = true;
    edge.deny({rule});
    const auto ours = source_of(edge.run(tcp_frame(kClient, kFront, {kSyn})));
    CHECK(edge.run(tcp_frame({"10.1.0.11", 8080}, ours, {kSyn | kAck})).verdict == CF_EDGE_V_DENIED);
  }
}

TEST_CASE("a packet that can't be sent on is dropped with its reason") {
  EdgeProgram edge;
  const auto verdict = [&] { return edge.run(tcp_frame(kClient, kFront, {kSyn})).verdict; };
  const auto mode = GENERATE(CF_EDGE_NAT, CF_EDGE_IPIP);
  auto plan = plan_of(mode, kFront, "10.1.0.11");
  SECTION("no backend") {
    plan.backends.clear();
    edge.serve(plan);
    CHECK(verdict() == CF_EDGE_V_NO_BACKEND);
  }
  SECTION("no address of ours in that family") {
    edge.serve(plan);
    auto settings = edge.settings;
    std::fill(std::begin(settings.address4), std::end(settings.address4), std::uint8_t{0});
    edge.set(settings);
    CHECK(verdict() == CF_EDGE_V_NO_ADDRESS);
  }
  SECTION("no route") {
    edge.serve(plan);
    REQUIRE(std::system("ip route add blackhole 10.1.0.11") == 0);
    CHECK(verdict() == CF_EDGE_V_NO_ROUTE);
  }
  SECTION("the next hop's link address is not known: the stack gets it, rewritten") {
    plan.backends[0].backend.address = ip("10.1.0.200");
    edge.serve(plan);
    const auto outcome = edge.run(tcp_frame(kClient, kFront, {kSyn}));
    CHECK(outcome.verdict == CF_EDGE_V_NO_NEIGHBOUR);
    CHECK(outcome.action == XDP_PASS);
    CHECK(describe(outcome.frame).find("10.1.0.200") != std::string::npos);
  }
}
