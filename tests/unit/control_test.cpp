// SPDX-License-Identifier: Apache-2.0
// Links: control.
#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "agent/base/fd.h"
#include "agent/control/json.h"
#include "agent/control/lookup_filter.h"
#include "agent/control/server.h"

using namespace cortexflow;
using namespace cortexflow::control;
using namespace std::chrono_literals;
using model::DnsLookup;
using model::DnsOutcome;
using nlohmann::ordered_json;

namespace {

constexpr std::uint16_t kServFail = 2;
constexpr std::uint16_t kNxDomain = 3;

model::IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
}

model::IpAddress v6_loopback() {
  model::IpAddress address;
  address.octets[15] = 1;
  return address;
}

DnsLookup answered() {
  DnsLookup l;
  l.start = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000)) + 123456789ns;
  l.latency = 12ms;
  l.transmissions = 1;
  l.name = "www.Example.com";
  l.qtype = 1;
  l.qclass = 1;
  l.has_answer = true;
  l.server = v4(192, 0, 2, 53);
  l.server_port = 53;
  l.pid = 42;
  l.comm = "curl";
  l.workload.name = "nginx.service";
  l.workload.pod_uid = "0a1b2c3d-0000-1111-2222-333344445555";
  l.workload.container_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  return l;
}

DnsLookup timed_out() {
  auto l = answered();
  l.has_answer = false;
  l.outcome = DnsOutcome::kTimeout;
  return l;
}

DnsLookup with_rcode(std::uint16_t rcode) {
  auto l = answered();
  l.rcode = rcode;
  return l;
}

DnsLookup over_v6() {
  auto l = answered();
  l.server = v6_loopback();
  return l;
}

// A log of what it was given; never waits long.
class FakeNode : public NodeView {
 public:
  Status status() const override {
    Status s;
    s.version = "1.2.3";
    s.node = "n1";
    s.dns_ports = {53};
    s.functions.push_back({"dns packets", "cgroup_skb", false, ""});
    return s;
  }
  std::vector<BpfProgram> bpf_programs() const override { return std::vector<BpfProgram>(1); }
  std::vector<WorkloadRow> workloads() const override { return std::vector<WorkloadRow>(1); }
  std::vector<std::string> log_lines(std::size_t max) const override {
    return std::vector<std::string>(std::min<std::size_t>(max, 3), "line");
  }
  std::uint64_t cursor_since(std::chrono::system_clock::time_point since) const override {
    return since > std::chrono::system_clock::now() ? lookups.size() : 0;
  }
  LookupBatch read_lookups(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const override {
    LookupBatch batch;
    batch.next = cursor;
    for (; batch.next < lookups.size() && batch.lookups.size() < max; ++batch.next) {
      batch.lookups.push_back(lookups[batch.next]);
    }
    if (batch.lookups.empty() && !drains) std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(wait, 20ms));
    return batch;
  }
  bool draining() const override { return drains; }

  std::vector<std::shared_ptr<const DnsLookup>> lookups;
  std::atomic<bool> drains{false};
};

class Directory {
 public:
  Directory() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string socket() const { return path_ + "/agent.sock"; }

 private:
  std::string path_ = "/tmp/control-test-XXXXXX";
};

httplib::Client client_of(const std::string& socket) {
  httplib::Client client(socket, 80);
  client.set_address_family(AF_UNIX);
  return client;
}

httplib::Result get(const std::string& socket, const std::string& path) { return client_of(socket).Get(path); }

// But for progress, which comes by the clock.
std::vector<ordered_json> lines_of(const std::string& body) {
  std::vector<ordered_json> lines;
  std::istringstream in(body);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    auto json = ordered_json::parse(line);
    if (!json.contains("progress")) lines.push_back(std::move(json));
  }
  return lines;
}

// A server that is up; stopped as the agent does it, draining first.
struct Serving {
  Serving() {
    node.lookups = {std::make_shared<DnsLookup>(answered()), std::make_shared<DnsLookup>(timed_out()),
                    std::make_shared<DnsLookup>(with_rcode(kNxDomain))};
    REQUIRE(server.start());
    for (int i = 0; i < 500 && !get(directory.socket(), "/v1/version"); ++i) std::this_thread::sleep_for(2ms);
  }
  ~Serving() {
    node.drains = true;
    server.stop();
  }

  Directory directory;
  FakeNode node;
  Server server{node, directory.socket(), "no-such-group"};
};

}  // namespace

TEST_CASE("A filter shows what all its fields match, by any of a field's values") {
  struct Case {
    const char* why;
    LookupFilter::Parameters parameters;
    DnsLookup lookup;
    bool shown;
  };
  const Case kCases[] = {
      {"no filter shows everything", {}, answered(), true},
      {"a name is compared whole", {{"name", "www.example.com"}}, answered(), true},
      {"a part of a name is not the name", {{"name", "example.com"}}, answered(), false},
      {"a star takes dots too, in any case", {{"name", "*.EXAMPLE.com"}}, answered(), true},
      {"one of two names suffices", {{"name", "a"}, {"name", "www.*"}}, answered(), true},
      {"a question mark is one octet", {{"name", "ww?.example.com"}}, answered(), true},
      {"a set is one of its octets", {{"name", "[v-x]ww.example.com"}}, answered(), true},
      {"type by name, in any case", {{"type", "a"}}, answered(), true},
      {"type by number", {{"type", "28"}}, answered(), false},
      {"fields are joined by and", {{"type", "A"}, {"pid", "43"}}, answered(), false},
      {"rcode of an answer", {{"rcode", "NXDOMAIN"}}, with_rcode(kNxDomain), true},
      {"a timeout has no rcode, not even NOERROR", {{"rcode", "NOERROR"}}, timed_out(), false},
      {"outcome", {{"outcome", "timeout"}}, timed_out(), true},
      {"server without a port takes any port", {{"server", "192.0.2.53"}}, answered(), true},
      {"server with its port", {{"server", "192.0.2.53:53"}}, answered(), true},
      {"server with another port", {{"server", "192.0.2.53:5353"}}, answered(), false},
      {"an IPv6 server with its port", {{"server", "[::1]:53"}}, over_v6(), true},
      {"an IPv6 server without a port", {{"server", "::1"}}, over_v6(), true},
      {"workload by name", {{"workload", "nginx.service"}}, answered(), true},
      {"workload by the start of its container's id", {{"workload", "0123456789ab"}}, answered(), true},
      {"workload by its pod", {{"workload", "0a1b2c3d-0000-1111-2222-333344445555"}}, answered(), true},
      {"another workload", {{"workload", "cron.service"}}, answered(), false},
      {"pid", {{"pid", "42"}}, answered(), true},
      {"latency, its bound included", {{"min_latency", "12ms"}}, answered(), true},
      {"a longer latency", {{"min_latency", "13ms"}}, answered(), false},
      {"a timeout failed", {{"failed", "true"}}, timed_out(), true},
      {"SERVFAIL failed", {{"failed", "true"}}, with_rcode(kServFail), true},
      {"NXDOMAIN is an answer", {{"failed", "true"}}, with_rcode(kNxDomain), false},
      {"not. leaves out", {{"not.name", "*.example.com"}}, answered(), false},
      {"not. of something else leaves in", {{"not.name", "*.example.org"}}, answered(), true},
      {"any negated value leaves out", {{"not.pid", "1"}, {"not.type", "A"}}, answered(), false},
      {"a negation wins", {{"name", "*"}, {"not.pid", "42"}}, answered(), false},
  };
  for (const auto& c : kCases) {
    INFO(c.why);
    const auto filter = LookupFilter::parse(c.parameters);
    REQUIRE(filter);
    CHECK(filter->matches(c.lookup) == c.shown);
  }
}

TEST_CASE("A malformed filter is refused by its name") {
  const std::pair<const char*, const char*> kCases[] = {
      {"type", "NOSUCH"},     {"rcode", "NOSUCH"},   {"outcome", "lost"},     {"pid", "-1"},
      {"pid", "1x"},          {"min_latency", "10"}, {"failed", "maybe"},     {"name", ""},
      {"not.type", "NOSUCH"}, {"not.colour", "red"}, {"min_latency", "-1ms"},
  };
  for (const auto& [field, value] : kCases) {
    INFO(field << "=" << value);
    const auto filter = LookupFilter::parse({{field, value}});
    REQUIRE_FALSE(filter);
    const std::string name = std::string(field).starts_with("not.") ? field + 4 : field;
    CHECK(filter.error().message.find(name) != std::string::npos);
  }
}

TEST_CASE("Durations have a unit") {
  CHECK(parse_duration("500us") == 500us);
  CHECK(parse_duration("10ms") == 10ms);
  CHECK(parse_duration("2s") == 2s);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("1h") == 1h);
  for (const char* bad : {"", "5", "ms", "-5s", "5 s", "5S", "99999999999999h", "5s "}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("A lookup's JSON keeps its facts") {
  const auto json = ordered_json::parse(to_json(answered()).dump());
  CHECK(json["start"] == "2023-11-14T22:13:20.123456789Z");
  CHECK(json["latency_ns"] == 12'000'000);
  CHECK(json["outcome"] == "answered");
  CHECK(json["qtype"] == "A");
  CHECK(json["qclass"] == "IN");
  CHECK(json["rcode"] == "NOERROR");
  CHECK(json["server"] == "192.0.2.53");
  CHECK(json["transport"] == "udp");
  CHECK(json["owner_source"] == "unknown");
  CHECK(json["workload"]["name"] == "nginx.service");
  CHECK(to_json(timed_out())["rcode"].is_null());
  CHECK(to_json(timed_out())["outcome"] == "timeout");
}

TEST_CASE("openapi.json lists the served paths, and each answers") {
  const Serving serving;
  const auto document = get(serving.directory.socket(), "/v1/openapi.json");
  REQUIRE(document);
  std::set<std::string> listed;
  const auto json = ordered_json::parse(document->body);
  for (const auto& [path, item] : json["paths"].items()) listed.insert(path);
  CHECK(listed == std::set<std::string>(Server::paths().begin(), Server::paths().end()));
  for (const auto& path : listed) {
    INFO(path);
    const auto response = get(serving.directory.socket(), path);
    REQUIRE(response);
    CHECK(response->status == 200);
    CHECK_FALSE(response->body.empty());
  }
}

TEST_CASE("Lookups come one a line and end with the counts") {
  const Serving serving;
  const auto response = get(serving.directory.socket(), "/v1/dns/lookups?failed=true");
  REQUIRE(response);
  CHECK(response->get_header_value("Content-Type") == "application/x-ndjson");
  const auto lines = lines_of(response->body);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["lookup"]["outcome"] == "timeout");
  CHECK(lines[1]["summary"] == ordered_json({{"seen", 3}, {"shown", 1}, {"lost", 0}}));
}

TEST_CASE("A limit ends a stream that follows") {
  const Serving serving;
  const auto response = get(serving.directory.socket(), "/v1/dns/lookups?since=1h&follow=true&limit=2");
  REQUIRE(response);
  const auto lines = lines_of(response->body);
  REQUIRE(lines.size() == 3);
  CHECK(lines[2]["summary"]["shown"] == 2);
}

TEST_CASE("A watcher gets its summary when the agent drains") {
  Serving serving;
  std::string body;
  std::thread watcher([&] {
    if (const auto response = get(serving.directory.socket(), "/v1/dns/lookups?follow=true")) body = response->body;
  });
  std::this_thread::sleep_for(100ms);
  serving.node.drains = true;
  watcher.join();
  const auto lines = lines_of(body);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].contains("summary"));
}

TEST_CASE("Refusals are JSON that names the cause") {
  const Serving serving;
  const std::pair<const char*, int> kCases[] = {
      {"/v1/nothing", 404},
      {"/v1/dns/lookups?colour=red", 400},
      {"/v1/dns/lookups?type=NOSUCH", 400},
      {"/v1/dns/lookups?limit=many", 400},
      {"/v1/dns/lookups?follow=perhaps", 400},
      {"/v1/dns/lookups?since=yesterday", 400},
      {"/v1/logs?lines=x", 400},
  };
  for (const auto& [path, status] : kCases) {
    INFO(path);
    const auto response = get(serving.directory.socket(), path);
    REQUIRE(response);
    CHECK(response->status == status);
    CHECK_FALSE(ordered_json::parse(response->body)["error"]["message"].get<std::string>().empty());
  }
}

TEST_CASE("The socket is its owner's and its group's") {
  const Serving serving;
  struct stat file{};
  REQUIRE(stat(serving.directory.socket().c_str(), &file) == 0);
  CHECK((file.st_mode & 07777) == 0660);
}

TEST_CASE("A second agent is refused, and leaves the first one's socket") {
  const Serving serving;
  Server second(serving.node, serving.directory.socket(), "");
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("another agent is running") != std::string::npos);
  CHECK(get(serving.directory.socket(), "/v1/version"));
}

TEST_CASE("A socket that nobody answers is replaced, another file is not") {
  const Directory directory;
  FakeNode node;
  {
    const Fd stale(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory.socket().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(stale.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  {
    Server server(node, directory.socket(), "");
    REQUIRE(server.start());
    for (int i = 0; i < 500 && !get(directory.socket(), "/v1/version"); ++i) std::this_thread::sleep_for(2ms);
    CHECK(get(directory.socket(), "/v1/version"));
    node.drains = true;
    server.stop();
  }
  CHECK_FALSE(std::filesystem::exists(directory.socket()));

  std::ofstream(directory.socket()) << "precious";
  Server server(node, directory.socket(), "");
  CHECK_FALSE(server.start());
  CHECK(std::filesystem::file_size(directory.socket()) == 8);
}

TEST_CASE("A watcher gets its summary where the server stops as soon as the agent drains") {
  std::string body;
  std::thread watcher;
  {
    Serving serving;
    watcher = std::thread([&body, socket = serving.directory.socket()] {
      client_of(socket).Get("/v1/dns/lookups?follow=true", [&body](const char* data, std::size_t size) {
        body.append(data, size);
        return true;
      });
    });
    std::this_thread::sleep_for(100ms);
  }
  watcher.join();
  CHECK(body.find("\"summary\"") != std::string::npos);
}

TEST_CASE("A server that has just started can stop") {
  FakeNode node;
  node.drains = true;
  for (int i = 0; i < 20; ++i) {
    const Directory directory;
    Server server(node, directory.socket(), "");
    REQUIRE(server.start());
    server.stop();
  }
}
