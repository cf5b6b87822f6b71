// SPDX-License-Identifier: Apache-2.0
// Which condition is written on which object, and when: the server and the clock are the test's.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/object_reading.h"
#include "identity/conditions/accepted.h"
#include "identity/conditions/condition_queue.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr const char* kMorning = "2026-01-02T08:00:00Z";
constexpr const char* kEvening = "2026-01-02T20:00:00Z";
const model::ObjectName kScanners{"", "scanners"};

json deny_list(const std::string& cidr, int generation, json conditions = json()) {
  json object{{"apiVersion", "cortexflow.io/v1alpha1"},
              {"kind", "DenyList"},
              {"metadata", {{"name", "scanners"}, {"generation", generation}, {"resourceVersion", "7"}}},
              {"spec", {{"entries", {{{"cidr", cidr}}}}}}};
  if (!conditions.is_null()) object["status"]["conditions"] = std::move(conditions);
  return object;
}

json wanted(json object, const char* now) {
  return condition_to_write(object, *source::find_resource("cortexflow.io", "DenyList"), kScanners, now);
}

json accepted(int generation, const char* since) { return wanted(deny_list("192.0.2.0/24", generation), since); }

const json kOther{
    {"type", "Audited"}, {"status", "True"}, {"lastTransitionTime", kMorning}, {"reason", "Reviewed"}, {"message", ""}};

}  // namespace

TEST_CASE("an object that agents read gets Accepted, and the words say what that means") {
  const auto condition = wanted(deny_list("192.0.2.0/24", 3), kMorning);
  CHECK(condition.at("type") == "Accepted");
  CHECK(condition.at("status") == "True");
  CHECK(condition.at("reason") == "Accepted");
  CHECK(condition.at("message").get<std::string>().find("cfcli status") != std::string::npos);
  CHECK(condition.at("observedGeneration") == 3);
  CHECK(condition.at("lastTransitionTime") == kMorning);
}

TEST_CASE("an object that agents refuse is not accepted, in their words") {
  const auto condition = wanted(deny_list("192.0.2.0/99", 1), kMorning);
  CHECK(condition.at("status") == "False");
  CHECK(condition.at("reason") == "Invalid");
  auto normal = deny_list("192.0.2.0/99", 1);
  const auto& resource = *source::find_resource("cortexflow.io", "DenyList");
  source::normalize(normal, resource, resource.versions.front());
  const auto refusal = source::read_object(normal, resource.kind, kScanners).refusal;
  REQUIRE(refusal);
  CHECK(condition.at("message") == refusal->to_string());
}

TEST_CASE("nothing is written where the condition says it, whatever conditions of others are beside it") {
  for (const auto& conditions : {json::array({accepted(3, kMorning)}), json::array({kOther, accepted(3, kMorning)}),
                                 json::array({accepted(3, kMorning), kOther})}) {
    CHECK(wanted(deny_list("192.0.2.0/24", 3, conditions), kEvening).is_null());
  }
  CHECK_FALSE(wanted(deny_list("192.0.2.0/24", 3, json::array({kOther})), kEvening).is_null());
}

TEST_CASE("another generation is observed without a transition; another verdict is one") {
  auto before = json::array({accepted(3, kMorning)});
  const auto raised = wanted(deny_list("198.51.100.0/24", 4, before), kEvening);
  CHECK(raised.at("observedGeneration") == 4);
  CHECK(raised.at("lastTransitionTime") == kMorning);
  const auto broken = wanted(deny_list("198.51.100.0/99", 4, before), kEvening);
  CHECK(broken.at("status") == "False");
  CHECK(broken.at("lastTransitionTime") == kEvening);
  // Still broken, in another way.
  const auto again = wanted(deny_list("nowhere", 5, json::array({broken})), kMorning);
  CHECK(again.at("message") != broken.at("message"));
  CHECK(again.at("lastTransitionTime") == kEvening);
}

TEST_CASE("what somebody else wrote into the condition, or left out of it, is put right") {
  for (const char* field : {"status", "reason", "message", "observedGeneration", "lastTransitionTime"}) {
    CAPTURE(field);
    auto condition = accepted(3, kMorning);
    condition.erase(field);
    CHECK(wanted(deny_list("192.0.2.0/24", 3, json::array({condition})), kMorning) == accepted(3, kMorning));
    condition[field] = 7;
    CHECK_FALSE(wanted(deny_list("192.0.2.0/24", 3, json::array({condition})), kMorning).is_null());
  }
  for (const auto& odd : {json("none"), json::array({1, nullptr}), json::array({json::object()})}) {
    CHECK(wanted(deny_list("192.0.2.0/24", 3, odd), kMorning) == accepted(3, kMorning));
  }
}

TEST_CASE("words with odd characters come back from the server as they were sent") {
  const auto first = wanted(deny_list("\xc3\xa9\n\xe2\x82", 1), kMorning);
  CHECK(first.at("status") == "False");
  for (const char c : first.at("message").get<std::string>()) CHECK((c >= 0x20 && c <= 0x7e));
}

TEST_CASE("one condition of one version of an object is applied, and nothing else of it") {
  const auto& resource = *source::find_resource("cortexflow.io", "AuthorizationPolicy");
  const auto condition = accepted(3, kMorning);
  CHECK(condition_apply(condition, resource.versions.front(), {"shop", "cart"}, "12") ==
        json{{"apiVersion", "cortexflow.io/v1alpha1"},
             {"kind", "AuthorizationPolicy"},
             {"metadata", {{"name", "cart"}, {"namespace", "shop"}, {"resourceVersion", "12"}}},
             {"status", {{"conditions", json::array({condition})}}}});
}

namespace {

using Queue = ConditionQueue;

model::ObjectKey list_key(const std::string& name) { return {model::Kind::kDenyList, {"", name}}; }

struct QueueFollower {
  Queue queue;
  Queue::Time now{std::chrono::hours(1)};

  // The name and body of what is sent; empty: nothing is.
  std::string sent() {
    const auto write = queue.next(now);
    return write ? write->key.name.name + " " + write->body : "";
  }
  void answer(int status, const std::string& words = "words") { queue.answered({status, "", {}}, words, now); }
  Queue::Figures figures() const { return queue.figures(model::Kind::kDenyList); }
};

}  // namespace

TEST_CASE("conditions are written one at a time, no more than 20 a second, the latest of each object") {
  QueueFollower f;
  CHECK(f.sent().empty());
  CHECK_FALSE(f.queue.time());
  for (int i = 0; i < 100; ++i) f.queue.put(list_key(std::to_string(1000 + i)), "old");
  f.queue.put(list_key("1000"), "new");
  CHECK(f.sent() == "1000 new");
  CHECK_FALSE(f.queue.time());
  CHECK(f.sent().empty());
  f.answer(200);
  const auto begun = f.now;
  for (int i = 1; i < 100; ++i) {
    CHECK(f.sent().empty());
    f.now = *f.queue.time();
    CHECK(f.sent() == std::to_string(1000 + i) + " old");
    f.answer(200);
  }
  CHECK(f.now - begun >= 99 * 1s / 20);
  CHECK(f.figures().written == 100);
  CHECK(f.queue.size() == 0);
}

TEST_CASE("what has changed or gone since is left to the watch, and is no failure") {
  for (const int status : {404, 409}) {
    QueueFollower f;
    f.queue.put(list_key("a"), "1");
    CHECK(f.sent() == "a 1");
    f.answer(status);
    CHECK(f.figures().failed == 0);
    CHECK(f.figures().written == 0);
    CHECK(f.queue.size() == 0);
    CHECK(f.queue.problem().empty());
  }
}

TEST_CASE("a server that is away is asked again after longer each, to a limit, and sooner again when it answers") {
  QueueFollower f;
  f.queue.put(list_key("a"), "1");
  std::vector<std::chrono::nanoseconds> waits;
  for (int i = 0; i < 8; ++i) {
    f.now = std::max(f.now, *f.queue.time());
    CHECK(f.sent() == "a 1");
    f.queue.answered({0, "no server", {}}, "", f.now);
    waits.push_back(*f.queue.time() - f.now);
  }
  CHECK(waits[0] == 1s);
  CHECK(waits[1] == 2s);
  CHECK(waits.back() == 30s);
  CHECK(f.figures().failed == 8);
  CHECK(f.queue.problem() == "the condition of DenyList a can't be written: no server");
  f.now = *f.queue.time();
  CHECK(f.sent() == "a 1");
  f.answer(200);
  CHECK(f.queue.problem().empty());
  f.queue.put(list_key("a"), "2");
  CHECK(*f.queue.time() - f.now == Queue::kBetween);
}

TEST_CASE("what the server refuses for good is not asked again; what it may take later is, after others") {
  struct Row {
    int status;
    const char* words;
    bool again;
  };
  for (const auto& row :
       {Row{422, "invalid", false}, Row{400, "nonsense", false}, Row{403, "no right", true},
        Row{401, "who are you", true}, Row{429, "slower", true}, Row{503, "busy", true}, Row{404, "", true}}) {
    CAPTURE(row.status);
    QueueFollower f;
    f.queue.put(list_key("a"), "1");
    f.queue.put(list_key("b"), "2");
    CHECK(f.sent() == "a 1");
    f.answer(row.status, row.words);
    CHECK(f.figures().failed == 1);
    f.now += 1h;
    CHECK(f.sent() == "b 2");
    f.answer(200);
    f.now += 1h;
    CHECK(f.sent() == (row.again ? "a 1" : ""));
  }
}

TEST_CASE("Retry-After is waited for") {
  QueueFollower f;
  f.queue.put(list_key("a"), "1");
  (void)f.sent();
  f.queue.answered({429, "", 40s}, "slower", f.now);
  CHECK(*f.queue.time() - f.now == 40s);
}

TEST_CASE("what comes while a write fails counts, not what was sent") {
  QueueFollower f;
  const auto fail = [&f] {
    f.answer(503);
    f.now += 1h;
  };
  f.queue.put(list_key("a"), "1");
  (void)f.sent();
  f.queue.put(list_key("a"), "2");
  fail();
  CHECK(f.sent() == "a 2");
  f.queue.erase(list_key("a"));
  fail();
  CHECK(f.sent().empty());
  f.queue.put(list_key("a"), "3");
  (void)f.sent();
  f.queue.clear(model::Kind::kDenyList);
  fail();
  CHECK(f.sent().empty());
}

TEST_CASE("a kind that is gone leaves others' conditions waiting, and what is too much is counted") {
  QueueFollower f;
  const model::ObjectKey other{model::Kind::kTrafficPolicy, {"shop", "cart"}};
  f.queue.put(list_key("a"), "1");
  f.queue.put(other, "2");
  f.queue.clear(model::Kind::kDenyList);
  CHECK(f.sent() == "cart 2");
  f.answer(200);
  for (std::size_t i = 0; i <= Queue::kWaitingMax; ++i) f.queue.put(list_key(std::to_string(i)), "");
  CHECK(f.queue.size() == Queue::kWaitingMax);
  CHECK(f.figures().failed == 1);
  CHECK(f.queue.problem().find("more than 65536") != std::string::npos);
}

}  // namespace cortexflow::identity
