// SPDX-License-Identifier: Apache-2.0
// What the packet programs make of one packet: what they count, and what they remember.
#include <catch2/catch.hpp>
#include <string>

#include "tests/kernel/dns_programs.h"

using namespace cortexflow::test;

namespace {

const Counters kOneQuery{{CF_DNS_C_PACKETS, 1}, {CF_DNS_C_QUERIES, 1}};
const Counters kNothing{};

Counters refused(cf_dns_counter cause) { return {{CF_DNS_C_PACKETS, 1}, {cause, 1}}; }

const Bytes kQuery = Message{}.bytes();
const Bytes kAnswer = Message{.flags = 0x8180}.bytes();

Bytes cut(Bytes bytes, std::size_t octets) {
  bytes.resize(bytes.size() - octets);
  return bytes;
}

Bytes repeated(const Bytes& bytes, int times) {
  Bytes out;
  for (int i = 0; i < times; ++i) out = std::move(out) + bytes;
  return out;
}

struct Row {
  const char* sentence;
  Direction direction;
  Bytes packet;
  Counters counters;
};

void check(DnsPrograms& programs, const Row& row) {
  INFO(row.sentence);
  programs.forget();
  CHECK(programs.run(row.packet, row.direction) == 1);  // let through, always
  CHECK(programs.counters() == row.counters);
}

}  // namespace

TEST_CASE("headers are walked to the DNS message, and what is not DNS is left alone") {
  DnsPrograms programs;
  const Bytes options{17, 0, 1, 4, 0, 0, 0, 0};  // an extension of 8 octets, then UDP
  const Bytes again{60, 0, 1, 4, 0, 0, 0, 0};    // the same, then another
  const Bytes first_fragment{17, 0, 0, 1, 0, 0, 0, 9}, later_fragment{17, 0, 0, 9, 0, 0, 0, 9};
  const Bytes authentication{17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  for (const Row& row : {
           Row{"a query over IPv4", kOut, ip4(udp(kQuery)), kOneQuery},
           Row{"a query over IPv6", kOut, ip6(udp(kQuery)), kOneQuery},
           Row{"behind IPv4 options", kOut, ip4(udp(kQuery), {.header_words = 15}), kOneQuery},
           Row{"behind an IPv6 hop-by-hop header", kOut, ip6(udp(kQuery), 0, options), kOneQuery},
           Row{"behind a routing header", kOut, ip6(udp(kQuery), 43, options), kOneQuery},
           Row{"behind three destination options", kOut, ip6(udp(kQuery), 60, again + again + options), kOneQuery},
           Row{"behind an authentication header", kOut, ip6(udp(kQuery), 51, authentication), kOneQuery},
           Row{"in a first fragment of IPv6", kOut, ip6(udp(kQuery), 44, first_fragment), kOneQuery},
           Row{"in a first fragment of IPv4", kOut, ip4(udp(kQuery), {.fragment = 0x2000}), kOneQuery},
           Row{"a later fragment of IPv4", kOut, ip4(udp(kQuery), {.fragment = 0x2001}), {{CF_DNS_C_ERR_FRAGMENT, 1}}},
           Row{"a later fragment of IPv6", kOut, ip6(udp(kQuery), 44, later_fragment), {{CF_DNS_C_ERR_FRAGMENT, 1}}},
           Row{"eight extension headers and a ninth",
               kOut,
               ip6(udp(kQuery), 60, repeated(again, 8) + options),
               {{CF_DNS_C_ERR_IPHEADER, 1}}},
           Row{"an extension header that runs past the packet",
               kOut,
               ip6({}, 60, {17, 200}),
               {{CF_DNS_C_ERR_IPHEADER, 1}}},
           Row{"an IPv4 header shorter than it may be",
               kOut,
               ip4(udp(kQuery), {.header_words = 4}),
               {{CF_DNS_C_ERR_IPHEADER, 1}}},
           Row{"an IPv4 packet that ends before its ports", kOut, ip4({1, 2}), {{CF_DNS_C_ERR_IPHEADER, 1}}},
           Row{"another port", kOut, ip4(udp(kQuery, {40000, 5353})), kNothing},
           Row{"another protocol", kOut, ip4(udp(kQuery), {.protocol = 1}), kNothing},
           Row{"ICMPv6", kOut, ip6(udp(kQuery), 58), kNothing},
           Row{"a server's own answer on its way out", kOut, ip4(udp(kAnswer, kFromServer)), kNothing},
           Row{"a query on its way to a server here", kIn, ip4(udp(kQuery)), kNothing},
       }) {
    check(programs, row);
  }
}

TEST_CASE("messages that are no query are counted by cause and remembered nowhere") {
  DnsPrograms programs;
  const auto query = [](auto&& change) {
    Message message;
    change(message);
    return ip4(udp(message.bytes()));
  };
  const std::string label63(63, 'x');
  const std::string longest = label63 + "." + label63 + "." + label63 + ".";
  for (const Row& row : {
           Row{"no payload", kOut, ip4(udp({})), refused(CF_DNS_C_ERR_SHORT)},
           Row{"eleven octets", kOut, ip4(udp(cut(kQuery, kQuery.size() - 11))), refused(CF_DNS_C_ERR_SHORT)},
           Row{"a header and no question behind it", kOut, ip4(udp(cut(kQuery, kQuery.size() - 12))),
               refused(CF_DNS_C_ERR_NAME)},
           Row{"a name that runs past the message", kOut, ip4(udp(cut(kQuery, 5))), refused(CF_DNS_C_ERR_NAME)},
           Row{"half a type", kOut, ip4(udp(cut(kQuery, 3))), refused(CF_DNS_C_ERR_SHORT)},
           Row{"a compressed name in a question", kOut, query([](auto& m) { m.name = {0xc0, 12}; }),
               refused(CF_DNS_C_ERR_NAME)},
           Row{"a label of 64 octets", kOut, query([](auto& m) { m.name = Bytes{64} + Bytes(64, 'x') + Bytes{0}; }),
               refused(CF_DNS_C_ERR_NAME)},
           Row{"a name of 255 octets", kOut,
               query([&](auto& m) { m.name = wire_name(longest + std::string(61, 'x')); }), kOneQuery},
           Row{"a name of 256 octets", kOut,
               query([&](auto& m) { m.name = wire_name(longest + std::string(62, 'x')); }), refused(CF_DNS_C_ERR_NAME)},
           Row{"127 labels of one octet", kOut, query([](auto& m) {
                 m.name = repeated(wire_name("x"), 1), m.name = repeated({1, 'x'}, 127) + Bytes{0};
               }),
               kOneQuery},
           Row{"no question", kOut, query([](auto& m) { m.questions = 0; }), refused(CF_DNS_C_ERR_QDCOUNT)},
           Row{"two questions", kOut, query([](auto& m) { m.questions = 2; }), refused(CF_DNS_C_ERR_QDCOUNT)},
           Row{"NOTIFY", kOut, query([](auto& m) { m.flags = 4 << 11; }), refused(CF_DNS_C_ERR_OPCODE)},
           Row{"UPDATE", kOut, query([](auto& m) { m.flags = 5 << 11; }), refused(CF_DNS_C_ERR_OPCODE)},
           Row{"an answer sent to a server", kOut, ip4(udp(kAnswer)), {{CF_DNS_C_PACKETS, 1}}},
       }) {
    check(programs, row);
    CHECK(programs.pending().size() == row.counters.count(CF_DNS_C_QUERIES));
    CHECK(programs.records().empty());
  }
}

TEST_CASE("TCP segments are cut into messages") {
  DnsPrograms programs;
  const auto many = [](int n) {
    Bytes stream;
    for (int i = 0; i < n; ++i)
      stream = std::move(stream) + prefixed(Message{.id = static_cast<std::uint16_t>(i)}.bytes());
    return stream;
  };
  const auto counted = [](std::uint64_t n) { return Counters{{CF_DNS_C_PACKETS, n}, {CF_DNS_C_QUERIES, n}}; };
  for (const Row& row : {
           Row{"a SYN", kOut, ip4(tcp({}, kToServer, kSyn), {.protocol = 6}), kNothing},
           Row{"an ACK without data", kOut, ip4(tcp({}), {.protocol = 6}), kNothing},
           Row{"one query", kOut, ip4(tcp(prefixed(kQuery)), {.protocol = 6}), counted(1)},
           Row{"one query behind TCP options", kOut,
               ip4(tcp(Bytes(20, 1) + prefixed(kQuery), kToServer, kAck, 10), {.protocol = 6}), counted(1)},
           Row{"one query with the FIN", kOut, ip4(tcp(prefixed(kQuery), kToServer, kFin | kAck), {.protocol = 6}),
               counted(1)},
           Row{"data with the SYN (fast open)", kOut, ip4(tcp(prefixed(kQuery), kToServer, kSyn), {.protocol = 6}),
               counted(1)},
           Row{"one query over IPv6", kOut, ip6(tcp(prefixed(kQuery)), 6), counted(1)},
           Row{"sixty queries", kOut, ip4(tcp(many(60)), {.protocol = 6}), counted(60)},
           Row{"half a query waits for the rest", kOut, ip4(tcp(cut(prefixed(kQuery), 9)), {.protocol = 6}), kNothing},
           Row{"half a length waits for the rest", kOut, ip4(tcp({0}), {.protocol = 6}), kNothing},
           Row{"a length of 5 is no DNS, and the stream is given up",
               kOut,
               ip4(tcp(be16(5) + Bytes(5, 0)), {.protocol = 6}),
               {{CF_DNS_C_ERR_SHORT, 1}, {CF_DNS_C_ERR_TCP_GAP, 1}}},
           Row{"a data offset past the segment",
               kOut,
               ip4(tcp({}, kToServer, kAck, 15), {.protocol = 6}),
               {{CF_DNS_C_ERR_SHORT, 1}}},
       }) {
    check(programs, row);
  }
}
