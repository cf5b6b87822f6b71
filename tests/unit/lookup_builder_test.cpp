// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/lookup_builder.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string_view>

using namespace cortexflow;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::nanoseconds kOffset = 1'700'000'000s;

flow::WorkloadResolver resolver() {
  return flow::WorkloadResolver({[](std::uint64_t id) -> std::optional<std::string> {
                                   if (id == 7) return "/system.slice/a.service";
                                   return std::nullopt;
                                 },
                                 [](std::uint32_t) { return std::optional<std::string>(); },
                                 [] { return std::chrono::steady_clock::time_point{}; }});
}

void set_name(cf_dns_lookup& record, std::string_view wire) {
  std::copy(wire.begin(), wire.end(), record.query.name);
  record.query.name_len = static_cast<__u16>(wire.size());
}

cf_dns_lookup record() {
  cf_dns_lookup made{};
  made.end_ns = 5'002'000'000;
  made.outcome = CF_DNS_ANSWERED;
  made.has_query = 1;
  made.answer_flags = CF_DNS_QR | CF_DNS_RA | CF_DNS_AD;
  made.rcode = 3;
  made.answers = 2;
  made.answer_size = 90;
  made.key.transport = CF_TRANSPORT_TCP;
  made.key.client[10] = made.key.client[11] = 0xff;
  made.key.client[12] = 10;
  made.key.client[15] = 1;
  made.key.server[15] = 1;
  made.key.client_port = 40000;
  made.key.server_port = 53;
  made.key.id = 0x1234;
  made.query.first_ns = 5'000'000'000;
  made.query.last_ns = 5'001'000'000;
  made.query.cgroup_id = 7;
  made.query.owner.tgid = 99;
  made.query.owner.source = CF_OWNER_CGROUP;
  std::memcpy(made.query.owner.comm, "sixteen-letters!", CF_COMM_LEN);
  made.query.netns = 4026531840;
  made.query.transmissions = 2;
  made.query.flags = CF_DNS_RD;
  made.query.qtype = 28;
  made.query.qclass = 1;
  made.query.edns_size = 1232;
  made.query.size = 40;
  set_name(made, std::string_view("\3wWw\7example\0", 13));
  return made;
}

}  // namespace

TEST_CASE("a kernel record becomes a lookup") {
  auto workloads = resolver();
  const auto lookup = flow::build(record(), kOffset, workloads);
  REQUIRE(lookup);
  CHECK(lookup->start.time_since_epoch() == kOffset + 5s);
  CHECK(lookup->latency == 2ms);
  CHECK(lookup->outcome == model::DnsOutcome::kAnswered);
  CHECK(lookup->transmissions == 2);
  CHECK(lookup->name == "wWw.example");
  CHECK(lookup->qtype == 28);
  CHECK(lookup->qclass == 1);
  CHECK(lookup->has_answer);
  CHECK(lookup->id == 0x1234);
  CHECK(lookup->rcode == 3);
  CHECK(lookup->answers == 2);
  CHECK(lookup->recursion_desired);
  CHECK(lookup->recursion_available);
  CHECK(lookup->authenticated);
  CHECK_FALSE(lookup->truncated);
  CHECK_FALSE(lookup->authoritative);
  CHECK(lookup->edns_size == 1232);
  CHECK(lookup->query_size == 40);
  CHECK(lookup->answer_size == 90);
  CHECK(lookup->transport == model::Transport::kTcp);
  CHECK(lookup->client.to_string() == "10.0.0.1");
  CHECK(lookup->client_port == 40000);
  CHECK(lookup->server.to_string() == "::1");
  CHECK(lookup->server_port == 53);
  CHECK(lookup->pid == 99);
  CHECK(lookup->comm == "sixteen-letters!");
  CHECK(lookup->owner_source == model::OwnerSource::kCgroup);
  CHECK(lookup->cgroup_id == 7);
  CHECK(lookup->netns == 4026531840);
  CHECK(lookup->workload.name == "a.service");
}

TEST_CASE("each outcome of the ABI has its own, and says whether there was an answer") {
  struct Row {
    const char* sentence;
    std::uint8_t abi;
    model::DnsOutcome outcome;
    bool has_answer;
  };
  auto workloads = resolver();
  for (const Row& row : {Row{"answered", CF_DNS_ANSWERED, model::DnsOutcome::kAnswered, true},
                         Row{"nobody answered", CF_DNS_TIMED_OUT, model::DnsOutcome::kTimeout, false},
                         Row{"answered twice", CF_DNS_ANSWERED_TWICE, model::DnsOutcome::kDuplicate, true},
                         Row{"answered too late", CF_DNS_LATE, model::DnsOutcome::kLate, true},
                         Row{"an answer nobody asked for", CF_DNS_UNMATCHED, model::DnsOutcome::kUnmatched, true},
                         Row{"the id was reused", CF_DNS_SUPERSEDED, model::DnsOutcome::kSuperseded, false},
                         Row{"the table was full", CF_DNS_UNTRACKED, model::DnsOutcome::kUntracked, false}}) {
    INFO(row.sentence);
    auto made = record();
    made.outcome = row.abi;
    const auto lookup = flow::build(made, kOffset, workloads);
    REQUIRE(lookup);
    CHECK(lookup->outcome == row.outcome);
    CHECK(lookup->has_answer == row.has_answer);
    CHECK(lookup->recursion_available == row.has_answer);
  }
}

TEST_CASE("an answer without a query starts when it came") {
  auto workloads = resolver();
  auto made = record();
  made.outcome = CF_DNS_UNMATCHED;
  made.has_query = 0;
  made.query.first_ns = made.query.last_ns = 0;
  made.query.transmissions = 0;
  const auto lookup = flow::build(made, kOffset, workloads);
  REQUIRE(lookup);
  CHECK(lookup->start.time_since_epoch() == kOffset + 5002ms);
  CHECK(lookup->latency == 0ns);
  CHECK(lookup->transmissions == 0);
  CHECK(lookup->name == "wWw.example");
}

TEST_CASE("an end before the start takes no time") {
  auto workloads = resolver();
  auto made = record();
  made.end_ns = made.query.first_ns - 10;
  CHECK(flow::build(made, kOffset, workloads)->latency == 0ns);
}

TEST_CASE("a process name is made printable") {
  auto workloads = resolver();
  auto made = record();
  std::memcpy(made.query.owner.comm, "a\x1b[1m\xff\0z", 8);
  CHECK(flow::build(made, kOffset, workloads)->comm == "a?[1m?");
}

TEST_CASE("a record that can't be true is refused") {
  auto workloads = resolver();
  auto made = record();
  SECTION("name without root") { set_name(made, std::string_view("\3abc")); }
  SECTION("no name") { made.query.name_len = 0; }
  SECTION("name longer than its room") { made.query.name_len = 65535; }
  SECTION("outcome unknown") { made.outcome = 99; }
  SECTION("transport unknown") { made.key.transport = 0; }
  CHECK_FALSE(flow::build(made, kOffset, workloads));
}
