// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/health_ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <deque>

#include "agent/base/fd.h"
#include "agent/http/port_server.h"
#include "agent/sink/balancer_answers.h"

using namespace cortexflow;
using namespace cortexflow::compile;

namespace {

using std::chrono::hours;
using SystemTime = std::chrono::system_clock::time_point;

const NodeContext kHere{"here", "", {}};

model::Service balanced() {
  model::Service service;
  service.name = {"shop", "web"};
  service.type = model::ServiceType::kLoadBalancer;
  service.external_scope = model::TrafficScope::kLocal;
  service.health_check_node_port = 30100;
  service.ports = {{"http", model::Protocol::kTcp, 80, 30080}, {"more", model::Protocol::kTcp, 81, 30081}};
  return service;
}

model::Endpoint endpoint(const std::string& address, const std::string& node = "here") {
  model::Endpoint out;
  out.address = *model::IpAddress::parse(address);
  out.node = node;
  return out;
}

model::EndpointSlice slice(std::vector<model::Endpoint> endpoints) {
  model::EndpointSlice out;
  out.service = "web";
  out.ports = {{"http", model::Protocol::kTcp, 8080}, {"more", model::Protocol::kTcp, 8081}};
  out.endpoints = std::move(endpoints);
  return out;
}

std::size_t count(const model::Service& service, const std::vector<model::EndpointSlice>& slices,
                  const AvoidedBackends& avoided = {}) {
  ServiceInput input;
  input.service = &service;
  input.avoided = &avoided;
  for (const auto& one : slices) input.slices.push_back(&one);
  const auto plan = plan_health_port(input, kHere);
  REQUIRE(plan);
  CHECK(plan->port == 30100);
  return plan->endpoints;
}

HealthPort wish(std::uint16_t port, std::optional<SystemTime> created = {}, std::size_t endpoints = 1) {
  return {port, created, endpoints};
}

model::ObjectName named(const std::string& name) { return {"shop", name}; }

std::string holder(const HealthPortBook& book, std::uint16_t port) {
  const auto found = book.ports().find(port);
  return found == book.ports().end() ? "nobody" : found->second.service.name;
}

}  // namespace

TEST_CASE("a service has a health port where its type and policy are those that load balancers ask for") {
  struct Row {
    std::string what;
    std::function<void(model::Service&)> change;
    bool has;
  };
  const auto row = GENERATE(values<Row>({
      {"as it is", [](model::Service&) {}, true},
      {"no port", [](model::Service& service) { service.health_check_node_port = 0; }, false},
      {"all nodes take callers", [](auto& service) { service.external_scope = model::TrafficScope::kCluster; }, false},
      {"no load balancer", [](auto& service) { service.type = model::ServiceType::kNodePort; }, false},
  }));
  CAPTURE(row.what);
  auto service = balanced();
  row.change(service);
  ServiceInput input;
  input.service = &service;
  CHECK(plan_health_port(input, kHere).has_value() == row.has);
}

TEST_CASE("a health port counts this node's endpoints for new callers, each once") {
  const auto service = balanced();
  CHECK(count(service, {}) == 0);
  CHECK(count(service, {slice({endpoint("10.0.0.1"), endpoint("10.0.0.2"), endpoint("10.0.0.3", "there")})}) == 2);
  auto unready = endpoint("10.0.0.1");
  unready.ready = false;
  auto ending = endpoint("10.0.0.2");
  ending.ready = false;
  ending.terminating = true;
  CHECK(count(service, {slice({unready, ending})}) == 0);
  auto ready_and_ending = ending;
  ready_and_ending.ready = true;
  CHECK(count(service, {slice({ready_and_ending})}) == 0);
  auto publishes = service;
  publishes.publish_not_ready = true;
  CHECK(count(publishes, {slice({unready, ending})}) == 1);
  // Of one pod, in both families; in two slices at once.
  CHECK(count(service, {slice({endpoint("10.0.0.1")}), slice({endpoint("fd00::1")})}) == 1);
  CHECK(count(service, {slice({endpoint("10.0.0.1")}), slice({endpoint("10.0.0.1"), unready})}) == 1);
  auto elsewhere = slice({endpoint("10.0.0.1")});
  elsewhere.ports = {{"another", model::Protocol::kTcp, 8080}};
  CHECK(count(service, {elsewhere}) == 0);
}

TEST_CASE("an endpoint that an operator drains counts no more, one that is unhealthy or ejected does") {
  const auto service = balanced();
  const auto address = *model::IpAddress::parse("10.0.0.1");
  AvoidedBackends avoided;
  avoided[{address, 8080, model::Protocol::kTcp}][AvoidedBy::kDrain] = "drained";
  CHECK(count(service, {slice({endpoint("10.0.0.1")})}, avoided) == 1);  // not at its other port
  avoided[{address, 8081, model::Protocol::kTcp}][AvoidedBy::kDrain] = "drained";
  CHECK(count(service, {slice({endpoint("10.0.0.1")})}, avoided) == 0);
  for (auto& [backend, reasons] : avoided) reasons = {{AvoidedBy::kCheck, "refused"}, {AvoidedBy::kEjection, "reset"}};
  CHECK(count(service, {slice({endpoint("10.0.0.1")})}, avoided) == 1);
}

TEST_CASE("a health port that two services want is the older one's, and stays with who has it") {
  HealthPortBook book;
  const SystemTime old = SystemTime{} + hours(1), young = SystemTime{} + hours(2);
  book.update({{named("a"), wish(30100)}, {named("b"), wish(30100, young)}, {named("c"), wish(30100, old, 7)}});
  CHECK(holder(book, 30100) == "c");
  CHECK(book.ports().at(30100).endpoints == 7);
  CHECK(book.refusals().at(named("a")) == "shop/c has it");
  book.update({{named("0"), wish(30100, SystemTime{})}});
  CHECK(holder(book, 30100) == "c");
  book.update({{named("c"), wish(30101, old)}});  // moves
  CHECK(holder(book, 30101) == "c");
  CHECK(holder(book, 30100) == "0");
  book.update({{named("0"), std::nullopt}});
  CHECK(holder(book, 30100) == "b");
  book.update({{named("b"), std::nullopt}});
  CHECK(holder(book, 30100) == "a");
  book.update({{named("a"), wish(30100, {}, 0)}});
  CHECK(book.ports().at(30100).endpoints == 0);
  CHECK(book.refusals().empty());
  book.update({{named("a"), std::nullopt}, {named("c"), std::nullopt}, {named("nobody"), std::nullopt}});
  CHECK(book.ports().empty());
}

TEST_CASE("health ports are so many at most, and those that are there stay") {
  HealthPortBook book(10256, 2);
  book.update({{named("b"), wish(2)}, {named("c"), wish(3)}});
  book.update({{named("a"), wish(1)}, {named("own"), wish(10256)}});
  CHECK(holder(book, 1) == "nobody");
  CHECK(book.refusals().at(named("a")) == "2 such ports are served already, and no more are");
  CHECK(book.refusals().at(named("own")) == "services.proxy_health_listen has it");
  book.update({{named("b"), std::nullopt}});
  CHECK(holder(book, 1) == "a");
  CHECK(holder(book, 10256) == "nobody");
  CHECK(book.refusals().size() == 1);
}

TEST_CASE("load balancers are told what kube-proxy tells them") {
  struct Row {
    std::size_t endpoints;
    bool healthy;
    int status;
    std::string body;
  };
  const auto row = GENERATE(values<Row>({
      {2, true, 200, R"({"service":{"namespace":"shop","name":"web"},"localEndpoints":2,"serviceProxyHealthy":true})"},
      {0, true, 503, R"({"service":{"namespace":"shop","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true})"},
      {2, false, 503,
       R"({"service":{"namespace":"shop","name":"web"},"localEndpoints":2,"serviceProxyHealthy":false})"},
  }));
  httplib::Response response;
  sink::answer_for_service(named("web"), row.endpoints, row.healthy, response);
  CHECK(response.status == row.status);
  CHECK(response.body == row.body);
  CHECK(response.get_header_value("Content-Type") == "application/json");
  CHECK(response.get_header_value("X-Content-Type-Options") == "nosniff");
  CHECK(response.get_header_value("X-Load-Balancing-Endpoint-Weight") == std::to_string(row.endpoints));
}

TEST_CASE("the node's own health is at /healthz, its life at /livez, and nothing elsewhere") {
  const auto ask = [](const std::string& path, bool healthy) {
    httplib::Response response;
    sink::answer_for_node(path, SystemTime{} + hours(1), SystemTime{} + hours(2), healthy, response);
    return std::pair(response.status, response.body);
  };
  const std::string body =
      R"({"lastUpdated":"1970-01-01T01:00:00.000000000Z","currentTime":"1970-01-01T02:00:00.000000000Z","servedBy":"cortexflow"})";
  CHECK(ask("/healthz", true) == std::pair(200, body));
  CHECK(ask("/healthz", false) == std::pair(503, body));
  CHECK(ask("/livez", false) == std::pair(200, body));
  CHECK(ask("/", true).first == 404);
}

namespace {

constexpr std::size_t kPeers = 4;

struct Ports {
  Ports() {
    auto started = http::PortServer::start(
        kPeers, [](std::uint16_t port, const httplib::Request& request, httplib::Response& response) {
          response.set_content(request.method + " " + request.path + " at " + std::to_string(port), "text/plain");
        });
    REQUIRE(started);
    server = std::move(*started);
  }

  std::unique_ptr<http::PortServer> server;
};

// One that is free, for now.
std::uint16_t free_port() {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
  REQUIRE(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
  return ntohs(at.sin_port);
}

std::string get(std::uint16_t port, const std::string& path = "/any/path?x=1") {
  const auto answer = httplib::Client("127.0.0.1", port).Get(path);
  return answer ? answer->body : "nothing";
}

}  // namespace

TEST_CASE("a server of many ports answers at each what is asked there, until it is closed") {
  Ports ports;
  const auto one = free_port();
  REQUIRE(ports.server->open("127.0.0.1", one));
  CHECK_FALSE(ports.server->open("127.0.0.1", one));
  auto other = free_port();
  while (other == one) other = free_port();
  REQUIRE(ports.server->open("::", other));
  CHECK(get(one) == "GET /any/path at " + std::to_string(one));
  CHECK(get(other) == "GET /any/path at " + std::to_string(other));  // by IPv4 too
  const auto head = httplib::Client("127.0.0.1", one).Head("/");
  REQUIRE(head);
  CHECK((head->status == 200 && head->body.empty()));
  ports.server->close(one);
  ports.server->close(one);
  CHECK(get(one) == "nothing");
  CHECK(get(other) == "GET /any/path at " + std::to_string(other));
  REQUIRE(ports.server->open("127.0.0.1", one));
  CHECK(get(one) == "GET /any/path at " + std::to_string(one));
  ports.server->end();
  CHECK(get(other) == "nothing");
}

TEST_CASE("a port that can't be had is refused with its address and the reason") {
  Ports ports, others;
  const auto port = free_port();
  REQUIRE(others.server->open("127.0.0.1", port));
  const auto taken = ports.server->open("127.0.0.1", port);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message == "cannot listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use");
  CHECK_THAT(ports.server->open("2001:db8::1", port).error().message,
             Catch::Matchers::StartsWith("cannot listen on [2001:db8::1]:" + std::to_string(port) + ": "));
  others.server->close(port);
  CHECK(ports.server->open("127.0.0.1", port));
}

TEST_CASE("peers that say nothing at one port keep nobody out of another") {
  Ports ports;
  const auto idle = free_port();
  REQUIRE(ports.server->open("127.0.0.1", idle));
  auto asked = free_port();
  while (asked == idle) asked = free_port();
  REQUIRE(ports.server->open("127.0.0.1", asked));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(idle);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::deque<Fd> strangers;
  for (std::size_t i = 0; i < 10 * kPeers; ++i) {
    strangers.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(strangers.back().get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  CHECK(get(asked) == "GET /any/path at " + std::to_string(asked));
  ports.server->end();  // and they don't hold up its end
}
