// SPDX-License-Identifier: Apache-2.0
#include "agent/control/flow_top.h"
#include "agent/control/lookup_top.h"
#include "agent/control/time_text.h"
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace cortexflow::test;

namespace {

const auto kNow = *parse_time("2023-11-14T22:15:00Z");

DnsLookup named(const std::string& name, std::chrono::nanoseconds latency = 1ms) {
  auto l = answered();
  l.name = name;
  l.latency = latency;
  return l;
}

DnsLookup with_outcome(DnsLookup lookup, DnsOutcome outcome) {
  lookup.outcome = outcome;
  return lookup;
}

ordered_json top(const NodeView& node, const Parameters& parameters = {}) {
  const auto query = TopQuery<LookupRow>::parse(parameters, kNow);
  REQUIRE(query);
  return Top<LookupRow>(*query).of(node.lookups(), kNow);
}

std::vector<std::string> keys(const ordered_json& document) {
  std::vector<std::string> out;
  for (const auto& row : document["rows"]) out.push_back(row["key"]);
  return out;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("A top has a row for each name, server, process, workload or type") {
  auto other = named("b.test");
  other.server = v6_loopback();
  other.comm = "";
  other.workload.name = "";
  other.qtype = 28;
  FakeNode node;
  for (const auto& l : {named("A.test"), named("a.TEST"), other}) node.add(l);
  CHECK(keys(top(node, {{"by", "name"}})) == Keys{"a.test", "b.test"});
  CHECK(keys(top(node, {{"by", "server"}})) == Keys{"192.0.2.53:53", "[::1]:53"});
  CHECK(keys(top(node, {{"by", "process"}})) == Keys{"curl", "(unknown)"});
  CHECK(keys(top(node, {{"by", "workload"}})) == Keys{"nginx.service", "(unknown)"});
  CHECK(keys(top(node, {{"by", "type"}})) == Keys{"A", "AAAA"});
}

TEST_CASE("A row counts lookups, failures, timeouts and its share") {
  FakeNode node;
  for (const auto& l : {answered(), timed_out(), with_rcode(kServFail), with_rcode(kNxDomain)}) {
    node.add(l);
  }
  const auto document = top(node);
  REQUIRE(document["rows"].size() == 1);
  const auto& row = document["rows"][0];
  CHECK(row["lookups"] == 4);
  CHECK(row["failed"] == 2);
  CHECK(row["timeouts"] == 1);
  CHECK(row["share"] == 1.0);
  CHECK(document["total"]["lookups"] == 4);
  CHECK(document["keys"] == 1);
}

TEST_CASE("Quantiles are of first answers, by nearest rank") {
  FakeNode node;
  for (int i = 1; i <= 200; ++i) node.add(named("a", i * 1ms));
  node.add(with_outcome(named("a", 5s), DnsOutcome::kTimeout));
  node.add(with_outcome(named("b", 5s), DnsOutcome::kTimeout));
  const auto rows = top(node)["rows"];
  CHECK(rows[0]["mean_latency_ns"] == 100'500'000);
  CHECK(rows[0]["p50_latency_ns"] == 100'000'000);
  CHECK(rows[0]["p99_latency_ns"] == 198'000'000);
  CHECK(rows[0]["max_latency_ns"] == 200'000'000);
  CHECK(rows[0]["lookups"] == 201);
  for (const char* column : {"mean_latency_ns", "p50_latency_ns", "p99_latency_ns", "max_latency_ns"}) {
    CHECK(rows[1][column].is_null());
  }
}

TEST_CASE("Further and unasked answers are told, not counted as lookups") {
  FakeNode node;
  for (const auto outcome :
       {DnsOutcome::kAnswered, DnsOutcome::kTimeout, DnsOutcome::kSuperseded, DnsOutcome::kUntracked,
        DnsOutcome::kDuplicate, DnsOutcome::kLate, DnsOutcome::kUnmatched}) {
    node.add(with_outcome(answered(), outcome));
  }
  const auto document = top(node);
  CHECK(document["total"]["lookups"] == 4);
  CHECK(document["uncounted"] == 3);
  CHECK_FALSE(TopQuery<LookupRow>::parse({{"outcome", "LATE"}}, kNow));
  CHECK(TopQuery<LookupRow>::parse({{"not.outcome", "late"}}, kNow));
}

TEST_CASE("Rows are sorted by any column, the largest first, ties and keys by the alphabet") {
  FakeNode node;
  const auto add = [&node](int times, const DnsLookup& lookup) {
    for (int i = 0; i < times; ++i) node.add(lookup);
  };
  add(3, named("a", 1ms));
  add(2, named("c", 9ms));
  add(2, named("b", 5ms));
  auto failing = with_rcode(kServFail);
  failing.name = "d";
  failing.latency = 2ms;
  add(1, failing);
  add(1, with_outcome(named("e", 1s), DnsOutcome::kTimeout));
  const std::pair<const char*, Keys> kCases[] = {
      {"lookups", {"a", "b", "c", "d", "e"}}, {"share", {"a", "b", "c", "d", "e"}},
      {"failed", {"d", "e", "a", "b", "c"}},  {"timeouts", {"e", "a", "b", "c", "d"}},
      {"mean", {"c", "b", "d", "a", "e"}},    {"p50", {"c", "b", "d", "a", "e"}},
      {"p99", {"c", "b", "d", "a", "e"}},     {"max", {"c", "b", "d", "a", "e"}},
      {"key", {"a", "b", "c", "d", "e"}},
  };
  CHECK(std::size(kCases) == LookupRow::columns().size());
  for (const auto& [column, expected] : kCases) {
    INFO(column);
    CHECK(keys(top(node, {{"sort", column}})) == expected);
  }
  const auto limited = top(node, {{"limit", "2"}});
  CHECK(keys(limited) == Keys{"a", "b"});
  CHECK(limited["keys"] == 5);
  CHECK(limited["total"]["lookups"] == 9);
}

TEST_CASE("A top counts what the filters show") {
  FakeNode node;
  for (const auto& l : {named("a.test"), named("b.test"), named("a.example")}) {
    node.add(l);
  }
  CHECK(keys(top(node, {{"name", "*.test"}})) == Keys{"a.test", "b.test"});
  CHECK(keys(top(node, {{"name", "*.test"}, {"not.name", "b*"}})) == Keys{"a.test"});
}

TEST_CASE("The window tells from when on lookups were counted, and what was overwritten") {
  FakeNode node;
  for (const int second : {0, 10, 20, 30}) {
    auto l = named("a", 0ms);
    l.start = kNow - 60s + std::chrono::seconds(second);
    node.add(l);
  }
  SECTION("all is kept") {
    const auto document = top(node);
    CHECK(document["total"]["lookups"] == 4);
    CHECK(document["window"] == ordered_json({{"since", nullptr},
                                              {"begin", "2023-11-14T22:14:00.000000000Z"},
                                              {"end", "2023-11-14T22:15:00.000000000Z"},
                                              {"complete", true},
                                              {"overwritten", 0}}));
  }
  SECTION("since leaves out what ended before") {
    const auto document = top(node, {{"since", "45s"}});
    CHECK(document["total"]["lookups"] == 2);
    CHECK(document["window"]["complete"] == true);
    CHECK(document["window"]["begin"] == "2023-11-14T22:14:15.000000000Z");
  }
  SECTION("what is overwritten and older than since does not matter") {
    node.overwrite_before(1);
    const auto document = top(node, {{"since", "45s"}});
    CHECK(document["window"]["complete"] == true);
    CHECK(document["window"]["overwritten"] == 1);
  }
  SECTION("since reaches beyond what is kept") {
    node.overwrite_before(2);
    const auto document = top(node, {{"since", "59s"}});
    CHECK(document["total"]["lookups"] == 2);
    CHECK(document["window"]["complete"] == false);
    CHECK(document["window"]["overwritten"] == 2);
    CHECK(document["window"]["begin"] == "2023-11-14T22:14:20.000000000Z");
  }
  SECTION("nothing is kept") {
    node.clear();
    const auto document = top(node);
    CHECK(document["window"]["begin"].is_null());
    CHECK(document["window"]["complete"] == true);
    CHECK(document["total"]["share"] == 0.0);
    CHECK(document["rows"].empty());
  }
}

TEST_CASE("A top ends though lookups come faster than it reads") {
  // Each read finds the log twice as far on; what was overwritten in between is told.
  class RacingLog : public FakeLog<DnsLookup> {
   public:
    using FakeLog::FakeLog;
    RecordBatch<DnsLookup> read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const override {
      auto batch = FakeLog::read(cursor, max, wait);
      if (max > 0) {
        ++reads;
        auto* self = const_cast<RacingLog*>(this);
        for (std::size_t i = 0; i < 2 * max; ++i) self->add(answered());
        self->overwrite_before(overwritten += 2 * max);
      }
      return batch;
    }
    mutable int reads = 0;
    mutable std::size_t overwritten = 0;
  };
  class Racing : public FakeNode {
   public:
    const RecordView<DnsLookup>& lookups() const override { return log; }
    RacingLog log{drains};
  };
  Racing node;
  for (int i = 0; i < 1000; ++i) node.log.add(answered());
  const auto document = top(node);
  CHECK(node.log.reads <= 4);
  CHECK(document["window"]["overwritten"].get<std::uint64_t>() > 0);
  CHECK(document["window"]["complete"] == false);
}

TEST_CASE("A top of flows adds up octets, failures and the time to connect, by workload, peer, pair, destination") {
  model::Flow called;
  called.local = *model::IpAddress::parse("10.0.0.1");
  called.remote = *model::IpAddress::parse("10.0.0.2");
  called.remote_port = 8080;
  called.workload.name = "shop/web";
  called.peer.name = "shop/cart";
  called.service = "shop/cart";
  called.service_port = 80;
  called.bytes_sent = 100;
  called.bytes_received = 1000;
  called.connect_latency = 40us;
  auto refused = called;
  refused.outcome = model::FlowOutcome::kRefused;
  refused.connect_latency.reset();
  refused.bytes_sent = refused.bytes_received = 0;
  refused.retransmits = 3;
  auto accepted = called;
  accepted.direction = model::FlowDirection::kIn;
  std::swap(accepted.workload, accepted.peer);
  accepted.peer.name = "";
  accepted.service = "";
  accepted.connect_latency.reset();
  FakeNode node;
  for (const auto& flow : {called, refused, accepted}) node.add(flow);
  const auto flow_top = [&node](const Parameters& parameters) {
    const auto query = TopQuery<FlowRow>::parse(parameters, kNow);
    REQUIRE(query);
    return Top<FlowRow>(*query).of(node.flows(), kNow);
  };
  const auto document = flow_top({});
  CHECK(keys(document) == Keys{"shop/web", "shop/cart"});
  const auto& row = document["rows"][0];
  CHECK(row["connections"] == 2);
  CHECK(row["failed"] == 1);
  CHECK(row["bytes_sent"] == 100);
  CHECK(row["bytes_received"] == 1000);
  CHECK(row["retransmits"] == 3);
  CHECK(row["p99_connect_ns"] == 40'000);
  CHECK(document["rows"][1]["p99_connect_ns"].is_null());
  CHECK(document["total"]["connections"] == 3);
  CHECK(keys(flow_top({{"by", "peer"}})) == Keys{"shop/cart", "10.0.0.2"});
  CHECK(keys(flow_top({{"by", "pair"}})) == Keys{"shop/web -> shop/cart", "10.0.0.2 -> shop/cart"});
  CHECK(keys(flow_top({{"by", "destination"}})) == Keys{"shop/cart:80", "10.0.0.1:0"});
  CHECK(keys(flow_top({{"by", "outcome"}, {"sort", "key"}})) == Keys{"closed", "refused"});
  CHECK(keys(flow_top({{"sort", "failed"}, {"failed", "false"}})) == Keys{"shop/cart", "shop/web"});
  CHECK_FALSE(TopQuery<FlowRow>::parse({{"by", "name"}}, kNow));
  CHECK_FALSE(TopQuery<FlowRow>::parse({{"outcome", "open"}}, kNow));
}
