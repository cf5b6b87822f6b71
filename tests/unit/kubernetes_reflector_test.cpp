// SPDX-License-Identifier: Apache-2.0
// What a reflector asks and tells when the server answers so: the clock and the randomness are the test's.
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "agent/source/kubernetes/reflector.h"

using namespace cortexflow;
using namespace cortexflow::source;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

json service(const std::string& name, const std::string& version) {
  return {{"metadata", {{"name", name}, {"namespace", "shop"}, {"resourceVersion", version}}},
          {"spec", json::object()}};
}

json event(const std::string& type, json object) { return {{"type", type}, {"object", std::move(object)}}; }

// A reflector of services, what it told, and a server that the test plays.
struct ReflectorFollower {
  std::map<std::string, std::string> known;  // name -> resource version
  std::vector<std::string> seen_in_list;
  bool in_list = false;
  int missing = 0;
  Reflector::Time now{std::chrono::hours(1)};
  const Resource& resource;
  Reflector reflector;

  explicit ReflectorFollower(model::Kind kind = model::Kind::kService)
      : resource(
            *std::find_if(resources().begin(), resources().end(), [kind](const auto& r) { return r.kind == kind; })),
        reflector(resource,
                  {[this](const auto& name, auto&, const auto& version) {
                     known[name.name] = version;
                     if (in_list) seen_in_list.push_back(name.name);
                   },
                   [this](const auto& name) { known.erase(name.name); },
                   [this] {
                     in_list = true;
                     seen_in_list.clear();
                   },
                   [this] {
                     in_list = false;
                     std::erase_if(known, [this](const auto& entry) {
                       return std::find(seen_in_list.begin(), seen_in_list.end(), entry.first) == seen_in_list.end();
                     });
                   },
                   [this] {
                     ++missing;
                     known.clear();
                   }},
                  [] { return 0.5; }) {}

  std::string asked() {
    auto path = reflector.next(now);
    return path ? *path : "";
  }
  bool receive(const std::string& body, int status = 200) { return reflector.received(body, status, now); }
  bool tell(const json& body, int status = 200) { return receive(body.dump() + "\n", status); }
  void end(int status = 200, const std::string& error = "") { reflector.ended({status, error, {}}, now); }

  void list(std::vector<json> items, const std::string& version, const std::string& more = "") {
    json body = {{"kind", resource.versions.front().kind + "List"},
                 {"metadata", {{"resourceVersion", version}}},
                 {"items", std::move(items)}};
    if (!more.empty()) body["metadata"]["continue"] = more;
    REQUIRE(receive(body.dump()));
    end();
  }
};

}  // namespace

TEST_CASE("a list in pages is followed by a watch from where it was taken") {
  ReflectorFollower f;
  CHECK(f.asked() == "/api/v1/services?limit=500");
  CHECK(f.asked().empty());  // one request at a time
  f.list({service("a", "3"), service("b", "4")}, "10", "to/ken==");
  CHECK_FALSE(f.reflector.synced());
  CHECK(f.asked() == "/api/v1/services?limit=500&continue=to%2Fken%3D%3D");
  f.list({service("c", "5")}, "10");
  CHECK(f.reflector.synced());
  CHECK(f.known.size() == 3);
  CHECK(f.asked() == "/api/v1/services?watch=1&allowWatchBookmarks=true&resourceVersion=10&timeoutSeconds=450");
}

TEST_CASE("events come in any pieces, and a watch goes on where it ended") {
  ReflectorFollower f;
  (void)f.asked();
  f.list({service("a", "3")}, "10");
  (void)f.asked();
  const std::string text = event("MODIFIED", service("a", "11")).dump() + "\n" +
                           event("ADDED", service("b", "12")).dump() + "\n" +
                           event("DELETED", service("a", "13")).dump() + "\n" +
                           event("BOOKMARK", {{"metadata", {{"resourceVersion", "20"}}}}).dump() + "\n";
  for (const char c : text) CHECK(f.receive(std::string(1, c)));
  CHECK(f.known == std::map<std::string, std::string>{{"b", "12"}});
  f.now += 400s;
  f.end();
  CHECK(f.asked().find("resourceVersion=20&") != std::string::npos);
  CHECK(f.reflector.trouble().empty());
}

TEST_CASE("a watch that is gone is a list anew, and what went meanwhile goes") {
  const auto gone = GENERATE(0, 1);
  ReflectorFollower f;
  (void)f.asked();
  f.list({service("a", "3"), service("b", "4")}, "10");
  (void)f.asked();
  if (gone) {
    f.end(410);
  } else {
    CHECK_FALSE(f.tell(event("ERROR", {{"kind", "Status"}, {"code", 410}, {"message", "too old"}})));
    f.end();
  }
  CHECK(f.asked() == "/api/v1/services?limit=500");
  CHECK(f.known.size() == 2);  // until the new list is whole
  f.list({service("b", "14")}, "30");
  CHECK(f.known == std::map<std::string, std::string>{{"b", "14"}});
  CHECK(f.reflector.figures().gone == 1);
}

TEST_CASE("pages that take longer than the server keeps the list are followed by one whole list") {
  ReflectorFollower f;
  (void)f.asked();
  f.list({service("a", "3")}, "10", "more");
  (void)f.asked();
  f.end(410);
  CHECK(f.asked() == "/api/v1/services");
  f.list({service("a", "3"), service("b", "4")}, "12");
  CHECK(f.known.size() == 2);
}

TEST_CASE("a cut stream goes on from the latest event; failures wait longer each, with jitter, to a limit") {
  ReflectorFollower f;
  (void)f.asked();
  f.list({}, "10");
  (void)f.asked();
  CHECK(f.tell(event("ADDED", service("a", "11"))));
  f.end(200, "https://server: the connection was cut");
  CHECK(f.asked().empty());
  CHECK(f.reflector.trouble() == "https://server: the connection was cut");
  std::chrono::nanoseconds before{0};
  for (int i = 0; i < 9; ++i) {
    const auto wait = f.reflector.time() - f.now;
    CHECK(wait >= before);
    CHECK(wait <= 45s);
    before = wait;
    f.now = f.reflector.time();
    CHECK(f.asked().find("resourceVersion=11&") != std::string::npos);
    f.end(0, "https://server: refused");
  }
  CHECK(before == 45s);
  f.now = f.reflector.time();
  (void)f.asked();
  CHECK(f.tell(event("ADDED", service("b", "12"))));
  CHECK(f.reflector.trouble().empty());
}

TEST_CASE("a server that asks to come back later is left alone for so long") {
  ReflectorFollower f;
  (void)f.asked();
  f.reflector.ended({429, "", 20s}, f.now);
  CHECK(f.reflector.time() >= f.now + 20s);
  CHECK(f.reflector.figures().failures == 1);
}

TEST_CASE("what is no list and no event is said, and loses nothing") {
  ReflectorFollower f;
  (void)f.asked();
  f.list({service("a", "3")}, "10");
  const std::vector<std::string> nonsense{"<html>maintenance</html>\n",
                                          "{\"type\":\"ADDED\"}\n",
                                          "[]\n",
                                          "{\"type\":7,\"object\":{}}\n",
                                          "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n",
                                          std::string(100'000, '[') + "\n"};
  for (const auto& line : nonsense) {
    INFO(line.substr(0, 60));
    f.now = std::max(f.now, f.reflector.time());
    CHECK(f.asked().find("resourceVersion=10&") != std::string::npos);
    CHECK_FALSE(f.receive(line));
    CHECK_FALSE(f.reflector.trouble().empty());
    f.end();
    CHECK(f.known.size() == 1);
  }
  ReflectorFollower g;
  for (const std::string body :
       {"", "null", "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"1\"}}", "<html>"}) {
    g.now = std::max(g.now, g.reflector.time());
    CHECK_FALSE(g.asked().empty());
    CHECK(g.receive(body));
    g.end();
    CHECK_FALSE(g.reflector.synced());
    CHECK(g.reflector.trouble().find("ServiceList") != std::string::npos);
  }
}

TEST_CASE("an older server's version of a kind is found, and a newer one's after its upgrade") {
  ReflectorFollower f(model::Kind::kEndpointSlice);
  CHECK(f.asked() == "/apis/discovery.k8s.io/v1/endpointslices?limit=500");
  CHECK(f.receive("404 page not found\n", 404));
  f.end(404);
  CHECK(f.asked() == "/apis/discovery.k8s.io/v1beta1/endpointslices?limit=500");
  f.list({}, "5");
  CHECK(f.reflector.version().api_version == "discovery.k8s.io/v1beta1");
  f.now += 400s;
  (void)f.asked();
  CHECK(f.receive("404 page not found\n", 404));
  f.end(404);
  CHECK(f.asked() == "/api/v1/endpoints?limit=500");
  CHECK(f.receive("404 page not found\n", 404));
  f.end(404);
  CHECK(f.asked() == "/apis/discovery.k8s.io/v1/endpointslices?limit=500");
}

TEST_CASE("a kind of ours that is not installed is no trouble, is looked for again, and may go while in use") {
  ReflectorFollower f(model::Kind::kTrafficPolicy);
  (void)f.asked();
  CHECK(f.receive("404 page not found\n", 404));
  f.end(404);
  CHECK(f.reflector.synced());
  CHECK(f.reflector.is_missing());
  CHECK(f.reflector.trouble().empty());
  f.now = f.reflector.time();
  (void)f.asked();
  f.list({service("a", "3")}, "10");
  CHECK_FALSE(f.reflector.is_missing());
  (void)f.asked();
  CHECK(f.tell(json{{"kind", "Status"}, {"reason", "NotFound"}, {"code", 404}}, 404));
  f.end(404);
  CHECK(f.known.empty());
  CHECK(f.reflector.is_missing());
}

TEST_CASE("a 404 that is not the API server's, or of a kind that every server has, takes nothing away") {
  ReflectorFollower f(model::Kind::kTrafficPolicy);
  (void)f.asked();
  f.list({service("a", "3")}, "10");
  (void)f.asked();
  CHECK(f.receive("<html>not found</html>", 404));
  f.end(404);
  CHECK(f.known.size() == 1);
  CHECK_FALSE(f.reflector.trouble().empty());
  ReflectorFollower g;
  (void)g.asked();
  g.list({service("a", "3")}, "10");
  (void)g.asked();
  CHECK(g.receive("404 page not found\n", 404));
  g.end(404);
  CHECK(g.known.size() == 1);
  CHECK_FALSE(g.reflector.trouble().empty());
}

TEST_CASE("a role that may not list is told what it lacks") {
  ReflectorFollower f;
  (void)f.asked();
  CHECK(f.tell(json{{"kind", "Status"}, {"message", "services is forbidden: User \"x\" cannot list"}}, 403));
  f.end(403);
  CHECK(f.reflector.trouble().find("cannot list") != std::string::npos);
  CHECK(f.reflector.trouble().find("let this one's role list and watch it") != std::string::npos);
  CHECK_FALSE(f.reflector.synced());
}
