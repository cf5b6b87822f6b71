// SPDX-License-Identifier: Apache-2.0
// What the packet programs read out of a message, and the accounting of what they offer.
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "tests/kernel/dns_programs.h"

using namespace cortexflow::test;

namespace {

const Bytes kPointer{0xc0, 12};  // to the question's name

Bytes name_of(const cf_dns_query& query) { return {query.name, query.name + query.name_len}; }

cf_dns_lookup one_record(DnsPrograms& programs, const Bytes& packet) {
  programs.forget();
  programs.run(packet, kIn);
  const auto records = programs.records();
  REQUIRE(records.size() == 1);
  return records[0];
}

cf_dns_query one_query(DnsPrograms& programs, const Bytes& packet) {
  programs.forget();
  programs.run(packet, kOut);
  const auto pending = programs.pending();
  REQUIRE(pending.size() == 1);
  return pending[0];
}

}  // namespace

TEST_CASE("a query is remembered as it was asked") {
  DnsPrograms programs;
  const Message message{.flags = 0x0110, .name = Bytes{3, 'W', 0xff, '.', 0}, .type = 28};
  for (const bool over_tcp : {false, true}) {
    const auto packet = over_tcp ? ip6(tcp(prefixed(message.bytes())), 6) : ip4(udp(message.bytes()));
    const auto query = one_query(programs, packet);
    CHECK(name_of(query) == message.name);
    CHECK(query.qtype == 28);
    CHECK(query.qclass == 1);
    CHECK(query.flags == 0x0110);
    CHECK(query.size == message.bytes().size());
    CHECK(query.edns_size == 0);
    CHECK(query.transmissions == 1);
    CHECK(query.first_ns != 0);
    CHECK(query.cgroup_id != 0);
    CHECK(query.netns != 0);
  }
}

TEST_CASE("the same question again on one socket is a retransmission") {
  DnsPrograms programs;
  programs.run(ip4(udp(Message{}.bytes())), kOut, 5);
  REQUIRE(programs.pending().size() == 1);
  CHECK(programs.pending()[0].transmissions == 5);
  CHECK(programs.counters() == Counters{{CF_DNS_C_PACKETS, 5}, {CF_DNS_C_QUERIES, 5}, {CF_DNS_C_RETRANSMITS, 4}});
}

TEST_CASE("the OPT record is found wherever it stands") {
  DnsPrograms programs;
  const auto query_size = [&](const Message& message, bool over_tcp) {
    return one_query(programs,
                     over_tcp ? ip4(tcp(prefixed(message.bytes())), {.protocol = 6}) : ip4(udp(message.bytes())))
        .edns_size;
  };
  struct Row {
    const char* sentence;
    Message message;
    int size;
  };
  const auto signature = record(wire_name("key.example"), 250, 60);
  for (const bool over_tcp : {false, true}) {
    for (const Row& row : {
             Row{"right behind the question", {.additional = {opt(1232, 0)}}, 1232},
             Row{"with options", {.additional = {opt(4096, 0, 30)}}, 4096},
             Row{"behind a signature", {.additional = {signature, opt(512, 0)}}, 512},
             Row{"before a signature", {.additional = {opt(65535, 0), signature}}, 65535},
             Row{"none, but another record", {.additional = {signature}}, 0},
             Row{"a record of type OPT under another name than the root is none",
                 {.additional = {record(wire_name("x"), 41, 0)}},
                 0},
             Row{"a record with a label type that isn't", {.additional = {Bytes{0x80} + opt(1232, 0)}}, 0},
         }) {
      INFO(row.sentence << (over_tcp ? ", TCP" : ", UDP"));
      CHECK(query_size(row.message, over_tcp) == row.size);
    }
  }
  SECTION("a count of records that are not there reads nothing behind the message") {
    auto bytes = Message{}.bytes();
    bytes[11] = 9;  // ARCOUNT
    CHECK(one_query(programs, ip4(udp(bytes))).edns_size == 0);
  }
}

TEST_CASE("an answer's record carries what the answer says") {
  DnsPrograms programs;
  const Message message{.id = 4711,
                        .flags = 0x8000 | CF_DNS_AA | CF_DNS_TC | CF_DNS_AD | 3,
                        .answers = {record(kPointer, 5, 20), record(kPointer, 1, 4)},
                        .authority = {record(kPointer, 6, 40)}};
  const auto lookup = one_record(programs, ip4(udp(message.bytes(), kFromServer)));
  CHECK(lookup.head.type == CF_EVENT_DNS_LOOKUP);
  CHECK(lookup.head.version == CF_DNS_LOOKUP_VERSION);
  CHECK(lookup.outcome == CF_DNS_UNMATCHED);  // nobody asked
  CHECK(lookup.has_query == 0);
  CHECK(lookup.key.id == 4711);
  CHECK(lookup.key.server_port == 53);
  CHECK(lookup.key.client_port == 40000);
  CHECK(lookup.key.server[15] == 1);  // the packet's source, ::ffff:10.0.0.1
  CHECK(lookup.key.server[10] == 0xff);
  CHECK(lookup.answer_flags == message.flags);
  CHECK(lookup.rcode == 3);
  CHECK(lookup.answers == 2);
  CHECK(lookup.answer_size == message.bytes().size());
  CHECK(name_of(lookup.query) == message.name);

  SECTION("without a question, the name is the root's") {
    const auto bare = one_record(programs, ip4(udp(Message{.flags = 0x8001, .questions = 0}.bytes(), kFromServer)));
    CHECK(bare.rcode == 1);
    CHECK(name_of(bare.query) == Bytes{0});
  }
  SECTION("what can't be read is offered and lost as not parsed") {
    programs.forget();
    programs.run(ip4(udp(Message{.flags = 0x8000, .name = {0xc0, 12}}.bytes(), kFromServer)), kIn);
    CHECK(programs.records().empty());
    CHECK(programs.counters() == Counters{{CF_DNS_C_PACKETS, 1},
                                          {CF_DNS_C_ANSWERS, 1},
                                          {CF_DNS_C_EMITTED, 1},
                                          {CF_DNS_C_LOST_NOT_PARSED, 1},
                                          {CF_DNS_C_ERR_NAME, 1}});
  }
}

TEST_CASE("a full ring loses records, and every one of them is counted") {
  DnsPrograms programs;
  constexpr int kRuns = 30000;  // 4 MiB hold some 18,000
  programs.run(ip4(udp(Message{.flags = 0x8180}.bytes(), kFromServer)), kIn, kRuns);
  auto counters = programs.counters();
  CHECK(counters[CF_DNS_C_EMITTED] == kRuns);
  CHECK(counters[CF_DNS_C_LOST_RING_FULL] > 0);
  CHECK(programs.records().size() == kRuns - counters[CF_DNS_C_LOST_RING_FULL]);
}

TEST_CASE("a full pending table reports the query as untracked, and finds room again") {
  DnsPrograms programs;
  constexpr std::uint64_t kMore = 50;
  const auto packet = ip4(udp(Message{}.bytes()));
  for (std::uint64_t i = 0; i < CF_DNS_PENDING_MAX + kMore; ++i) programs.run(packet, kOut);
  auto counters = programs.counters();
  CHECK(counters[CF_DNS_C_QUERIES] == CF_DNS_PENDING_MAX + kMore);
  CHECK(counters[CF_DNS_C_PENDING_FULL] == kMore);
  CHECK(counters[CF_DNS_C_EMITTED] == kMore);
  const auto records = programs.records();
  REQUIRE(records.size() == kMore);
  CHECK(records[0].outcome == CF_DNS_UNTRACKED);
  CHECK(name_of(records[0].query) == wire_name("www.example"));
  CHECK(records[0].query.qtype == 1);
  programs.forget();
  programs.run(packet, kOut);
  CHECK(programs.counters() == Counters{{CF_DNS_C_PACKETS, 1}, {CF_DNS_C_QUERIES, 1}});
}

TEST_CASE("whatever octets come, packets pass and the accounting closes", "[volume]") {
  DnsPrograms programs;
  std::mt19937 random(20250607);  // the same packets in every run
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const auto plain = Message{.additional = {opt(1232, 0, 12)}};
  const auto answer = Message{.flags = 0x8180, .answers = {record(kPointer, 1, 4)}, .additional = {opt(1232, 1)}};
  const std::vector<Bytes> starts{
      ip4(udp(plain.bytes())),
      ip4(udp(answer.bytes(), kFromServer)),
      ip6(udp(plain.bytes()), 60, {17, 0, 1, 4, 0, 0, 0, 0}),
      ip4(tcp(prefixed(plain.bytes()) + prefixed(Message{.id = 2}.bytes())), {.protocol = 6}),
      ip6(tcp(prefixed(answer.bytes()) + prefixed(answer.bytes()), kFromServer), 6),
  };
  std::uint64_t records = 0, pending = 0;
  for (int i = 0; i < 60000; ++i) {
    auto packet = starts[below(starts.size())];
    for (std::size_t changes = below(6); changes > 0; --changes) {
      packet[1 + below(packet.size() - 1)] = static_cast<std::uint8_t>(below(256));
    }
    if (below(4) == 0) packet.resize(1 + below(packet.size()));
    if (below(8) == 0) packet = std::move(packet) + Bytes(below(1200), static_cast<std::uint8_t>(below(256)));
    if (packet.size() < 40) continue;  // the kernel's test run wants whole IP headers
    REQUIRE(programs.run(packet, below(2) ? kOut : kIn) == 1);
    for (const auto& lookup : programs.records()) {
      ++records;
      REQUIRE(lookup.query.name_len >= 1);
      REQUIRE(lookup.query.name_len <= CF_DNS_NAME_MAX);
      REQUIRE(lookup.query.name[lookup.query.name_len - 1] == 0);
    }
  }
  for (const auto& query : programs.pending()) {
    ++pending;
    REQUIRE(query.name_len >= 1);
    REQUIRE(query.name_len <= CF_DNS_NAME_MAX);
  }
  auto counters = programs.counters();
  CHECK(records > 1000);
  CHECK(counters[CF_DNS_C_EMITTED] == records + counters[CF_DNS_C_LOST_NOT_PARSED] + counters[CF_DNS_C_LOST_RING_FULL]);
  CHECK(counters[CF_DNS_C_QUERIES] == pending + counters[CF_DNS_C_RETRANSMITS] + counters[CF_DNS_C_PENDING_FULL]);
  CHECK(counters[CF_DNS_C_HELPER_FAILED] == 0);
}
