// SPDX-License-Identifier: Apache-2.0
#include "agent/health/outlier.h"

#include <catch2/catch.hpp>

using namespace cortexflow;
using namespace std::chrono_literals;
using health::ConnectionCounts;

namespace {

model::BackendAddress address(std::uint8_t last) {
  model::BackendAddress out;
  out.address.octets[15] = last;
  out.port = 80;
  return out;
}

// A service's backends, their counters, and a clock that is set by hand.
struct Service {
  explicit Service(std::uint8_t backends) {
    for (std::uint8_t i = 0; i < backends; ++i) {
      all.insert(address(i));
      counts[address(i)].entry = i + 1U;
    }
  }
  ConnectionCounts& operator[](std::uint8_t i) { return counts[address(i)]; }
  void fail(std::uint8_t i, std::uint32_t times) {
    (*this)[i].failed += times;
    (*this)[i].failures_in_row += times;
  }
  void go_well(std::uint8_t i, std::uint32_t times) {
    (*this)[i].established += times;
    (*this)[i].ended += times;
    (*this)[i].failures_in_row = (*this)[i].breaks_in_row = 0;
  }
  void break_off(std::uint8_t i, std::uint32_t times) {
    (*this)[i].established += times;
    (*this)[i].failures_in_row = 0;
    (*this)[i].broken += times;
    (*this)[i].breaks_in_row += times;
  }
  // Its entry was taken out with its slots, and is made anew when it returns.
  void renew(std::uint8_t i) { (*this)[i] = ConnectionCounts{.entry = ++next}; }
  const health::OutlierVerdict& look(std::chrono::milliseconds later = 200ms) {
    now += later;
    return detector.observe(now, policy, all, counts);
  }
  bool ejected(std::uint8_t i) const { return detector.verdict().ejected.contains(address(i)); }
  bool on_probation(std::uint8_t i) const { return detector.verdict().probation.contains(address(i)); }

  model::OutlierDetection policy;
  health::OutlierDetector detector;
  std::set<model::BackendAddress> all;
  health::OutlierDetector::Counts counts;
  std::uint32_t next = 100;
  health::OutlierDetector::Time now{1h};
};

}  // namespace

TEST_CASE("a backend is ejected when so many connects have failed in a row, and not before") {
  Service service(3);
  service.look();
  service.fail(0, 4);
  CHECK(service.look() == health::OutlierVerdict{});
  service.fail(0, 1);
  CHECK(service.look().ejected.at(address(0)) == "5 connects failed in a row");
  CHECK(service.detector.figures().ejections == 1);
}

TEST_CASE("one connection that is established ends the row") {
  Service service(3);
  service.fail(0, 4);
  service.look();
  service.go_well(0, 1);
  service.fail(0, 4);
  service.look();
  CHECK_FALSE(service.ejected(0));
}

TEST_CASE("connections that are established and then break off count too") {
  Service service(3);
  service.look();
  service.break_off(0, 5);
  CHECK(service.look().ejected.at(address(0)) == "5 connections broke in a row");
}

TEST_CASE("the failure rate needs its volume, in one interval") {
  Service service(3);
  service.policy.consecutive_failures = 0;
  service.policy.failure_percentage_threshold = 50;
  service.policy.failure_percentage_volume = 20;
  service.look();
  const auto mixed = [&](std::uint32_t bad, std::uint32_t good) {
    service.fail(0, bad);
    service.go_well(0, good);
  };
  SECTION("below the volume") {
    mixed(10, 9);
    service.look(10s);
    CHECK_FALSE(service.ejected(0));
  }
  SECTION("below the rate") {
    mixed(9, 11);
    service.look(10s);
    CHECK_FALSE(service.ejected(0));
  }
  SECTION("spread over two intervals") {
    mixed(5, 5);
    service.look(10s);
    mixed(5, 5);
    service.look(10s);
    CHECK_FALSE(service.ejected(0));
  }
  SECTION("both reached, but the interval is not over") {
    mixed(10, 10);
    service.look(9s);
    CHECK_FALSE(service.ejected(0));
  }
  SECTION("both reached") {
    mixed(10, 10);
    CHECK(service.look(10s).ejected.at(address(0)) == "10 of 20 connections failed");
  }
}

TEST_CASE("after its time a backend is on probation, and back when a connection has gone well") {
  Service service(3);
  service.look();
  service.fail(0, 5);
  service.look();
  REQUIRE(service.ejected(0));
  service.counts.erase(address(0));
  service.look(29s);
  CHECK(service.ejected(0));
  service.look(1s);
  CHECK(service.on_probation(0));
  CHECK_FALSE(service.ejected(0));
  service.renew(0);
  service.look(60s);
  CHECK(service.on_probation(0));
  SECTION("by its end") { service.go_well(0, 1); }
  SECTION("by standing for a while") {
    service[0].established = 1;
    service.look();
    CHECK(service.on_probation(0));
    service.now += 1s;
  }
  CHECK(service.look() == health::OutlierVerdict{});
}

TEST_CASE("a probe that fails ejects again, each time for longer, up to the longest") {
  Service service(3);
  service.policy.max_ejection_time = 70s;
  service.look();
  service.fail(0, 5);
  service.look();
  for (const auto time : {30s, 60s, 70s, 70s}) {
    service.look(time - 200ms);
    CHECK(service.ejected(0));
    service.look(200ms);
    CHECK(service.on_probation(0));
    service.renew(0);
    if (time == 60s) {
      service.break_off(0, 1);
    } else {
      service.fail(0, 1);
    }
    service.look(0ms);
    CHECK(service.ejected(0));
  }
  CHECK(service.detector.verdict().ejected.at(address(0)) == "its probe failed, ejection 5 in a row");
}

TEST_CASE("intervals without a complaint make the next ejection shorter again") {
  Service service(3);
  service.look();
  service.fail(0, 5);
  service.look();
  service.look(30s);
  service.go_well(0, 1);
  service.look();
  service.look(10s);
  service.fail(0, 5);
  service.look();
  CHECK(service.detector.verdict().ejected.at(address(0)) == "5 connects failed in a row");
}

TEST_CASE("no more than a share of the backends is ejected, but always one") {
  Service service(10);
  service.policy.max_ejection_percent = 20;
  service.look();
  for (std::uint8_t i = 0; i < 5; ++i) service.fail(i, 5);
  CHECK(service.look().ejected.size() == 2);
  CHECK(service.detector.figures().spared == 3);
  service.look();
  CHECK(service.detector.figures().spared == 3);
  Service two(2);
  two.look();
  two.fail(0, 5);
  two.fail(1, 5);
  CHECK(two.look().ejected.size() == 1);
  Service none(2);
  none.policy.max_ejection_percent = 0;
  none.look();
  none.fail(0, 5);
  CHECK(none.look().ejected.empty());
}

TEST_CASE("a backend that is still used while ejected, as in a panic, is judged by what comes after") {
  Service service(2);
  service.look();
  service.fail(0, 5);
  service.look();
  service.fail(0, 5);
  service.look(30s);
  REQUIRE(service.on_probation(0));
  service.go_well(0, 1);
  CHECK(service.look() == health::OutlierVerdict{});
}

TEST_CASE("a backend that leaves the service is forgotten") {
  Service service(2);
  service.look();
  service.fail(0, 5);
  service.look();
  service.all.erase(address(0));
  CHECK(service.look() == health::OutlierVerdict{});
}

TEST_CASE("A new agent goes on with the ejections of the one before") {
  Service before(4);
  before.policy.base_ejection_time = 10s;
  before.look();
  before.fail(0, 5);
  before.look();
  REQUIRE(before.ejected(0));
  Service after(4);
  after.policy = before.policy;
  after.now = before.now;
  after.detector.adopt(before.detector.memories());
  CHECK(after.ejected(0));  // before anything is observed
  CHECK(after.detector.verdict() == before.detector.verdict());
  CHECK(after.detector.memories() == before.detector.memories());
  after.counts.erase(address(0));
  after.look(9s);
  CHECK(after.ejected(0));
  after.look(2s);
  CHECK(after.on_probation(0));
  SECTION("its probe fails: the ejection is the second in a row") {
    after.renew(0);
    after.look();
    after.fail(0, 1);
    after.look();
    CHECK(after.ejected(0));
    CHECK(after.detector.memories().at(address(0)).in_row == 2);
    after.look(19s);
    CHECK(after.ejected(0));
    after.look(2s);
    CHECK(after.on_probation(0));
  }
  SECTION("its probe goes well") {
    after.renew(0);
    after.look();
    after.go_well(0, 1);
    after.look();
    CHECK(after.detector.verdict() == health::OutlierVerdict{});
  }
  SECTION("it has gone") {
    after.all.erase(address(0));
    after.look();
    CHECK(after.detector.memories().empty());
  }
  SECTION("the next agent comes while it is on probation: a probe that failed meanwhile speaks against it") {
    Service third(4);
    third.policy = before.policy;
    third.now = after.now;
    third.detector.adopt(after.detector.memories());
    CHECK(third.on_probation(0));
    third.renew(0);
    third.fail(0, 1);
    third.look();
    CHECK(third.detector.memories().at(address(0)).in_row == 2);
  }
}

TEST_CASE("What failed before a probation is not held against it by a new agent") {
  Service before(2);  // of which one may be ejected: its entry in the tables stays where all are used all the same
  before.policy.max_ejection_percent = 50;
  before.look();
  before.fail(0, 5);
  before.look();
  before.look(31s);
  REQUIRE(before.on_probation(0));
  Service after(2);
  after.policy = before.policy;
  after.now = before.now;
  after.counts = before.counts;
  after.detector.adopt(before.detector.memories());
  after.look();
  CHECK(after.on_probation(0));
  after.go_well(0, 1);
  after.look();
  CHECK(after.detector.verdict() == health::OutlierVerdict{});
}

TEST_CASE("What an agent leaves of a backend fades as its ejections do") {
  Service service(4);
  service.look();
  service.fail(0, 5);
  service.look();
  REQUIRE(service.detector.memories().size() == 1);
  service.look(31s);  // over: on probation
  service.go_well(0, 1);
  service.look();
  CHECK(service.detector.memories().at(address(0)) == health::OutlierMemory{health::OutlierState::kIn, 1, {}, {}, {}});
  service.look(11s);
  CHECK(service.detector.memories().empty());
}
