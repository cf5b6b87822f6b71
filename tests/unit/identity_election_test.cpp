// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "identity/cluster/election.h"
#include "identity/cluster/lease.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using Verb = Election::Request::Verb;

// A Lease as an API server has it, and what a candidate's request does to it.
struct Server {
  std::optional<LeaseRecord> lease;
  int version = 0;
  bool away = false;

  void answer(const Election::Request& request, Election& election, Election::Time now) {
    const auto text = std::to_string(version);
    if (away) return election.failed(now);
    if (request.verb == Verb::kRead) return lease ? election.read(*lease, text, now) : election.missing(now);
    const bool current = request.verb == Verb::kCreate ? !lease : lease && request.version == text;
    if (!current) return election.conflict(now);
    lease = request.record;
    ++version;
    election.wrote(request.record, std::to_string(version), now);
  }
};

// Sends what it wants to, as its thread does, until it wants to wait.
void turn(Election& election, Server& server, Election::Time now) {
  for (int i = 0; i < 10; ++i) {
    const auto request = election.next(now, "now");
    if (!request) return;
    server.answer(*request, election, now);
  }
  FAIL("it never waits");
}

const Election::Time kStart{1000s};

}  // namespace

TEST_CASE("the first that comes leads; where there is no Lease it makes one") {
  Server server;
  SECTION("none") {}
  SECTION("one that nobody holds, as the chart's") { server.lease = LeaseRecord{}; }
  Election one("a", {});
  turn(one, server, kStart);
  CHECK(one.leads());
  CHECK(server.lease->holder == "a");
  CHECK(server.lease->duration == 15s);
  CHECK(server.lease->transitions == 1);
  CHECK(one.due() == kStart + 2s);
}

TEST_CASE("of two that ask at the same time one leads") {
  Server server;
  Election a("a", {}), b("b", {});
  // Both have read before either writes.
  server.answer(*a.next(kStart, ""), a, kStart);
  server.answer(*b.next(kStart, ""), b, kStart);
  turn(b, server, kStart);
  turn(a, server, kStart);
  CHECK(b.leads());
  CHECK_FALSE(a.leads());
  CHECK(a.leader() == "b");
}

TEST_CASE("a lease that was not seen to change for its duration is taken, whatever times it says") {
  Server server;
  server.lease = LeaseRecord{"b", 15s, "2999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", 3};
  Election a("a", {});
  auto now = kStart;
  for (; now < kStart + 15s; now += 1s) {
    turn(a, server, now);
    CHECK_FALSE(a.leads());
  }
  for (; !a.leads() && now < kStart + 20s; now += 1s) turn(a, server, now);
  CHECK(a.leads());
  CHECK(now <= kStart + 18s);
  CHECK(server.lease->transitions == 4);
}

TEST_CASE("a lease that is renewed is never taken") {
  Server server;
  Election a("a", {}), b("b", {});
  turn(a, server, kStart);
  for (auto now = kStart; now < kStart + 300s; now += 1s) {
    turn(a, server, now);
    turn(b, server, now);
  }
  CHECK(a.leads());
  CHECK_FALSE(b.leads());
  CHECK(server.lease->transitions == 1);
}

TEST_CASE("one that stood still past its lease learns with its first question that another one leads") {
  Server server;
  Election a("a", {}), b("b", {});
  turn(a, server, kStart);
  for (auto now = kStart; now < kStart + 30s; now += 1s) turn(b, server, now);
  CHECK(b.leads());
  CHECK(a.leads());  // as far as it knows: its writes are refused
  turn(a, server, kStart + 30s);
  CHECK_FALSE(a.leads());
  CHECK(a.leader() == "b");
}

TEST_CASE("one whose lease nobody took while the API server was away leads on") {
  Server server;
  Election a("a", {});
  turn(a, server, kStart);
  server.away = true;
  for (auto now = kStart; now < kStart + 120s; now += 1s) turn(a, server, now);
  CHECK(a.leads());
  CHECK(a.renewed() == kStart);
  server.away = false;
  turn(a, server, kStart + 121s);
  CHECK(a.leads());
  CHECK(a.renewed() == kStart + 121s);
  CHECK(server.lease->transitions == 1);
}

TEST_CASE("a lease that was given back is another's at once, and its own again only when it stands again") {
  Server server;
  Election a("a", {}), b("b", {});
  turn(a, server, kStart);
  turn(b, server, kStart);
  server.answer(*a.release(kStart + 10s, "now"), a, kStart);
  CHECK_FALSE(a.leads());
  CHECK(server.lease->holder.empty());
  turn(a, server, kStart + 2s);
  CHECK_FALSE(a.leads());
  SECTION("another one is there") {
    turn(b, server, kStart + 2s);
    CHECK(b.leads());
    CHECK(server.lease->transitions == 2);
    CHECK_FALSE(b.next(kStart + 3s, ""));
  }
  SECTION("nobody else is there") {
    for (auto now = kStart + 2s; now <= kStart + 13s; now += 1s) turn(a, server, now);
    CHECK(a.leads());
  }
}

TEST_CASE("a Lease that was removed is made again; one that a process of the same name left is taken at once") {
  Server server;
  Election a("a", {});
  turn(a, server, kStart);
  server.lease.reset();
  turn(a, server, kStart + 2s);
  CHECK(a.leads());
  Election again("a", {});
  turn(again, server, kStart + 3s);
  CHECK(again.leads());
}

TEST_CASE("a Lease's spec is read as it is written, and nonsense as one that nobody holds") {
  const LeaseRecord record{"pod-1", 15s, "2026-01-02T15:04:05.000000Z", "2026-01-02T15:04:07.000000Z", 7};
  CHECK(lease_record({{"spec", lease_spec(record)}}) == record);
  for (const auto* text : {"{}", R"({"spec":null})", R"({"spec":[]})", R"({"spec":{"holderIdentity":5}})",
                           R"({"spec":{"leaseDurationSeconds":"x","leaseTransitions":-3}})"}) {
    CHECK(lease_record(nlohmann::json::parse(text)) == LeaseRecord{});
  }
  CHECK(lease_record({{"spec", {{"holderIdentity", "a"}, {"leaseDurationSeconds", 1'000'000}}}}).duration == 3600s);
}

}  // namespace cortexflow::identity
