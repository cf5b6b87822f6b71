// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>

#include "identity/authorities.h"
#include "identity/cluster/cluster_storage.h"
#include "identity/cluster/secret_records.h"
#include "tests/unit/identity_fixture.h"
#include "tests/unit/secret_store_fake.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::FakeSecrets;
using test::kNoon;
using Texts = std::vector<std::string>;

struct Leader {
  std::shared_ptr<Term> term;
  std::unique_ptr<Records> records;
  Texts loaded;
  std::string problem;  // why there are none
};

Leader lead(const std::shared_ptr<FakeSecrets>& store, const std::string& claim) {
  Leader leader{std::make_shared<Term>(claim), nullptr, {}, {}};
  auto opened = SecretRecords::open(store, leader.term, "ca", [&](std::string_view record) -> Result<void> {
    leader.loaded.emplace_back(record);
    return {};
  });
  if (opened) leader.records = std::move(*opened);
  if (!opened) leader.problem = opened.error().to_string();
  return leader;
}

bool keep(Leader& leader, const std::string& record) {
  const auto position = leader.records->write(record);
  return position && leader.records->sync(*position);
}

// Long enough that a few fill a segment.
std::string record_of(int number) { return std::to_string(number) + std::string(8000, 'x'); }

Texts records_of(int count) {
  Texts out;
  for (int i = 0; i < count; ++i) out.push_back(record_of(i));
  return out;
}

}  // namespace

TEST_CASE("records in Secrets are there for the next leader, in their order, however many segments they take") {
  const auto store = std::make_shared<FakeSecrets>();
  const int count = GENERATE(0, 1, 3, 4, 9, 40, 300);
  {
    auto first = lead(store, "a/1");
    REQUIRE(first.records);
    for (const auto& record : records_of(count)) REQUIRE(keep(first, record));
  }
  auto next = lead(store, "b/1");
  REQUIRE(next.records);
  CHECK((next.loaded == records_of(count)));
  REQUIRE(keep(next, "more"));
  CHECK(lead(store, "a/2").loaded.size() == static_cast<std::size_t>(count) + 1);
  // Closed segments are joined: what does not fill one takes no more than the index, the open one and one or two.
  const auto octets = next.records->octets();
  CHECK(store->secrets.size() <= 3 + octets / (SecretRecords::kSegmentMax - SecretRecords::kOpenMax));
  for (const auto& [name, secret] : store->secrets) {
    for (const auto& [key, text] : secret.data) CHECK(text.size() <= SecretRecords::kSegmentMax);
  }
}

TEST_CASE("one that was led by another writes nothing any more, whatever it was about to write") {
  const auto store = std::make_shared<FakeSecrets>();
  const int before = GENERATE(0, 1, 3, 4, 8);  // records, so that its next write is of an index, an open or a new one
  auto old = lead(store, "a/1");
  for (const auto& record : records_of(before)) REQUIRE(keep(old, record));
  auto next = lead(store, "b/1");
  REQUIRE(next.records);
  const bool rewrites = GENERATE(false, true);
  CAPTURE(before, rewrites);
  CHECK_FALSE((rewrites ? old.records->rewrite({"alone"}).has_value() : keep(old, record_of(99))));
  CHECK(old.term->over());
  CHECK_FALSE(keep(old, "later"));
  CHECK(keep(next, "mine"));
  auto expected = records_of(before);
  expected.emplace_back("mine");
  CHECK((lead(store, "a/2").loaded == expected));
}

TEST_CASE("the same process's next term is not written to by what its last one still sends") {
  const auto store = std::make_shared<FakeSecrets>();
  auto old = lead(store, "a/1");
  REQUIRE(keep(old, "one"));
  auto again = lead(store, "a/2");
  CHECK_FALSE(keep(old, "late"));
  CHECK(keep(again, "two"));
}

TEST_CASE("whoever takes over at any step of the leader's has all that it has told of, and it tells of no more") {
  for (int step = 1;; ++step) {
    CAPTURE(step);
    const auto store = std::make_shared<FakeSecrets>();
    auto old = lead(store, "a/1");
    for (const auto& record : records_of(3)) REQUIRE(keep(old, record));
    Texts told = records_of(3);
    Texts at_takeover;
    Leader next;
    store->writes = 0;
    store->before_at = step;
    store->before_write = [&] {
      at_takeover = told;
      next = lead(store, "b/1");
    };
    for (int i = 3; i < 9; ++i) {
      if (keep(old, record_of(i))) told.push_back(record_of(i));
    }
    std::ignore = old.records->rewrite(told);
    if (!next.records && next.problem.empty()) break;  // it was done before
    INFO(next.problem);
    REQUIRE(next.records);
    // Of the write that it was in the middle of: kept and told of, or neither.
    REQUIRE(next.loaded.size() >= at_takeover.size());
    CHECK(next.loaded.size() <= at_takeover.size() + 1);
    CHECK(std::equal(at_takeover.begin(), at_takeover.end(), next.loaded.begin()));
    CHECK((told == at_takeover || told == next.loaded));
    CHECK_FALSE(keep(old, "late"));
    CHECK(keep(next, "mine"));
    auto expected = next.loaded;
    expected.emplace_back("mine");
    CHECK((lead(store, "c/1").loaded == expected));
  }
}

TEST_CASE("an API server that is lost at any step leaves what was told of, and at most the one that was not") {
  using Loss = FakeSecrets::Loss;
  for (const auto loss : {Loss::kRequest, Loss::kAnswer}) {
    bool lost = true;
    for (int step = 1; lost; ++step) {
      CAPTURE(static_cast<int>(loss), step);
      const auto store = std::make_shared<FakeSecrets>();
      Texts told;
      {
        auto leader = lead(store, "a/1");
        store->writes = 0;
        store->lost_at = step;
        store->loss = loss;
        for (int i = 0; i < 10; ++i) {
          if (!keep(leader, record_of(i))) break;
          told.push_back(record_of(i));
        }
        const bool rewritten = told.size() == 10 && leader.records->rewrite(told).has_value();
        CHECK((rewritten || leader.term->over()));
        lost = store->writes >= step;
      }
      store->loss = Loss::kNone;
      auto next = lead(store, "b/1");
      INFO(next.problem);
      REQUIRE(next.records);
      REQUIRE(next.loaded.size() >= told.size());
      CHECK(next.loaded.size() <= told.size() + 1);
      CHECK(std::equal(told.begin(), told.end(), next.loaded.begin()));
      // And goes on: what was left over is in nobody's way, and goes with the next rewrite.
      for (int i = 20; i < 30; ++i) REQUIRE(keep(next, record_of(i)));
      REQUIRE(next.records->rewrite({"all"}));
      CHECK(store->secrets.size() == 2);
      CHECK(lead(store, "c/1").loaded == Texts{"all"});
    }
  }
}

TEST_CASE("a segment that is gone or was changed is refused, by its name") {
  const auto store = std::make_shared<FakeSecrets>();
  {
    auto leader = lead(store, "a/1");
    for (const auto& record : records_of(5)) REQUIRE(keep(leader, record));
  }
  const auto whole = store->secrets;
  for (const auto& [name, secret] : whole) {
    if (name == "ca") continue;
    CAPTURE(name);
    store->secrets = whole;
    store->secrets.erase(name);
    CHECK(lead(store, "b/1").problem.find("Secret " + name + " is gone") != std::string::npos);
    store->secrets = whole;
    store->secrets[name].data["text"].pop_back();
    CHECK(lead(store, "b/2").problem.find("Secret " + name) != std::string::npos);
  }
  for (const std::string index : {"", "{}", R"({"segments":[-1]})", R"({"segments":[200]})", R"({"segments":[0,0]})",
                                  R"({"segments":["0"]})", R"({"segments":{"a":1}})"}) {
    CAPTURE(index);
    store->secrets = whole;
    store->secrets["ca"].data["text"] = index;
    CHECK_FALSE(lead(store, "b/3").records);
  }
}

TEST_CASE("the ledger of a cluster refuses more before its segments are full, and still takes revocations") {
  const auto store = std::make_shared<FakeSecrets>();
  auto term = std::make_shared<Term>("a/1");
  ClusterStorage storage(store, term, "ca");
  auto ledger = storage.open_ledger();
  REQUIRE(ledger);
  const std::string id = "spiffe://example.org/" + std::string(1800, 'w');
  const auto entry_of = [&](int i) {
    return Entry{fmt::format("{:032x}", i), id + std::to_string(i), "aa", kNoon, kNoon + 24h, std::nullopt, 0, 0};
  };
  int issued = 0;
  while ((*ledger)->issued(entry_of(issued), kNoon)) ++issued;
  CHECK(issued > 10'000);
  CHECK_FALSE((*ledger)->has_room("spiffe://example.org/other"));
  CHECK_FALSE(term->over());
  CHECK((*ledger)->revoke(entry_of(5).serial, 1, kNoon));
  ledger = tl::make_unexpected(Error{});
  ClusterStorage next(store, std::make_shared<Term>("b/1"), "ca");
  auto read = next.open_ledger();
  REQUIRE(read);
  CHECK((*read)->size() == static_cast<std::size_t>(issued));
  CHECK((*read)->find(entry_of(5).serial)->revoked);
  // A day later all have ended but the revoked one, and there is room.
  CHECK((*read)->issued(entry_of(1'000'000), kNoon + 25h));
  CHECK((*read)->size() == 2);
  CHECK(store->secrets.size() <= 4);
}

TEST_CASE("an authority's own root in a Secret is the next leader's, and no earlier leader's to change") {
  const auto store = std::make_shared<FakeSecrets>();
  const auto open = [&](const std::string& claim) {
    auto kept = ClusterStorage(store, std::make_shared<Term>(claim), "ca").open_authorities();
    REQUIRE(kept);
    return Authorities::open_own({std::move(*kept), "example.org", KeyType::kEcP256, 365 * 24h},
                                 Secret("correct horse battery"), kNoon);
  };
  auto first = open("a/1");
  REQUIRE(first);
  auto second = open("b/1");
  REQUIRE(second);
  CHECK((*first)->current()->active().id() == (*second)->current()->active().id());
  CHECK_FALSE((*first)->prepare(kNoon));
  REQUIRE((*second)->prepare(kNoon));
  REQUIRE((*second)->activate());
  auto third = open("a/2");
  REQUIRE(third);
  CHECK((*third)->current()->active().id() == (*second)->current()->active().id());
  CHECK((*third)->current()->held.size() == 2);
}

}  // namespace cortexflow::identity
