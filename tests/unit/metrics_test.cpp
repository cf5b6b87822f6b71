// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>

#include "agent/sink/agent_metrics.h"
#include "agent/sink/dns_metrics.h"
#include "agent/sink/metrics_server.h"
#include "agent/sink/service_metrics.h"

using namespace cortexflow;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

model::DnsLookup lookup(model::DnsOutcome outcome = model::DnsOutcome::kAnswered) {
  model::DnsLookup made;
  made.outcome = outcome;
  made.has_answer = outcome != model::DnsOutcome::kTimeout;
  made.transmissions = 1;
  made.latency = 300us;
  made.name = "Example.com";
  made.qtype = 1;
  made.server.octets[15] = 1;
  made.workload.name = "a.service";
  return made;
}

std::string text_of(const prometheus::Collectable& collectable) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, collectable.Collect());
  return text.str();
}

// The whole answer of a server on the loopback address.
std::string http_get(std::uint16_t port, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
  REQUIRE(::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char room[4096];
  for (ssize_t got = 0; (got = ::recv(fd, room, sizeof(room), 0)) > 0;)
    answer.append(room, static_cast<std::size_t>(got));
  ::close(fd);
  return answer;
}

sink::AgentFigures figures() {
  sink::AgentFigures made;
  made.emitted = 10;
  made.delivered = 8;
  made.lost = {{"ring full", 2}};
  made.parse_errors = {{"short", 1}, {"name", 3}};
  made.maps = {{"dns_pending", 5, 65536}};
  made.programs = {{"dns_egress", 4, 2'000'000'000}};
  return made;
}

}  // namespace

TEST_CASE("lookups are counted by type, server, transport and workload") {
  prometheus::Registry registry;
  sink::DnsMetrics metrics(registry, {});
  auto retried = lookup();
  retried.transmissions = 3;
  metrics.record(retried);
  metrics.record(lookup(model::DnsOutcome::kTimeout));
  auto unasked = lookup(model::DnsOutcome::kUnmatched);
  unasked.transmissions = 0;
  unasked.rcode = 3;
  metrics.record(unasked);

  const auto families = registry.Collect();
  const auto value = [&](const std::string& name, const std::map<std::string, std::string>& wanted) {
    for (const auto& family : families) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        std::map<std::string, std::string> has;
        for (const auto& label : metric.label) has[label.name] = label.value;
        if (has == wanted) return metric.counter.value + static_cast<double>(metric.histogram.sample_count);
      }
    }
    return -1.0;
  };
  const std::map<std::string, std::string> base{{"server", "::1"}, {"transport", "udp"}, {"workload", "a.service"}};
  auto with_type = base;
  with_type["qtype"] = "A";
  auto no_error = with_type;
  no_error["rcode"] = "NOERROR";
  auto nx_domain = with_type;
  nx_domain["rcode"] = "NXDOMAIN";
  CHECK(value("cortexflow_dns_requests_total", with_type) == 4);
  CHECK(value("cortexflow_dns_responses_total", no_error) == 1);
  CHECK(value("cortexflow_dns_responses_total", nx_domain) == 1);
  CHECK(value("cortexflow_dns_timeouts_total", with_type) == 1);
  CHECK(value("cortexflow_dns_response_duration_seconds", base) == 1);
  CHECK(value("cortexflow_dns_outcomes_total", {{"outcome", "answered"}}) == 1);
  CHECK(value("cortexflow_dns_outcomes_total", {{"outcome", "timeout"}}) == 1);
  CHECK(value("cortexflow_dns_outcomes_total", {{"outcome", "late"}}) == 0);
}

TEST_CASE("labels are bounded, and what is over the bound is other") {
  prometheus::Registry registry;
  sink::DnsMetricsLimits limits;
  limits.workloads = 2;
  limits.names = 1;
  limits.series = 3;
  sink::DnsMetrics metrics(registry, limits);
  SECTION("workloads and names") {
    for (const char* name : {"a", "b", "c", "d", "a"}) {
      auto made = lookup();
      made.workload.name = name;
      made.name = std::string(name) + ".Example";
      metrics.record(made);
    }
    const std::string text = text_of(registry);
    CHECK_THAT(text, Contains("name=\"a.example\"") && Contains("workload=\"b\"") && !Contains("workload=\"c\""));
    CHECK_THAT(text, Contains("cortexflow_metric_label_values{label=\"workload\"} 2"));
    CHECK_THAT(text, Contains("cortexflow_metric_label_overflow_total{label=\"workload\"} 2"));
    CHECK_THAT(text, Contains("cortexflow_metric_label_overflow_total{label=\"name\"} 3"));
  }
  SECTION("types without a name") {
    auto made = lookup();
    made.qtype = 65280;
    metrics.record(made);
    CHECK_THAT(text_of(registry), Contains("qtype=\"other\"") && !Contains("TYPE65280"));
  }
  SECTION("series as a whole") {
    for (std::uint8_t server = 0; server < 10; ++server) {
      auto made = lookup();
      made.server.octets[15] = server;
      metrics.record(made);
    }
    CHECK_THAT(text_of(registry), Contains("server=\"other\"") && Contains("overflow_total{label=\"series\"} 21"));
  }
}

TEST_CASE("promtool has no complaint about the metrics") {
  prometheus::Registry registry;
  sink::DnsMetrics metrics(registry, {});
  metrics.record(lookup());
  metrics.record(lookup(model::DnsOutcome::kTimeout));
  const sink::AgentMetrics agent(figures, "0.1.0", "abc");
  std::FILE* promtool = ::popen("promtool check metrics", "w");  // fails for a complaint, too
  REQUIRE(promtool != nullptr);
  const std::string text = text_of(registry) + text_of(agent);
  CHECK(std::fwrite(text.data(), 1, text.size(), promtool) == text.size());
  CHECK(::pclose(promtool) == 0);
}

TEST_CASE("the agent's own figures are read at each scrape") {
  const sink::AgentMetrics agent(figures, "0.1.0", "abc");
  const std::string text = text_of(agent);
  CHECK_THAT(text, Contains("cortexflow_build_info{version=\"0.1.0\",revision=\"abc\"} 1"));
  CHECK_THAT(text, Contains("cortexflow_events_lost_total{cause=\"ring full\"} 2"));
  CHECK_THAT(text, Contains("cortexflow_bpf_map_entries{map=\"dns_pending\"} 5"));
  CHECK_THAT(text, Contains("cortexflow_bpf_program_run_seconds_total{program=\"dns_egress\"} 2"));
  CHECK_THAT(text, Contains("process_open_fds") && !Contains("process_resident_memory_bytes 0\n"));
}

TEST_CASE("the server answers metrics, health and readiness") {
  prometheus::Registry registry;
  sink::DnsMetrics metrics(registry, {});
  const sink::AgentMetrics agent(figures, "0.1.0", "abc");
  std::atomic<bool> ready = false;
  sink::MetricsServer server("127.0.0.1", 0, {&registry, &agent}, [&] { return ready.load(); });
  REQUIRE(server.start());
  CHECK_THAT(http_get(server.port(), "/metrics"),
             Contains("Content-Type: text/plain; version=0.0.4; charset=utf-8") && Contains("cortexflow_build_info"));
  CHECK_THAT(http_get(server.port(), "/healthz"), Contains("200") && Contains("ok"));
  CHECK_THAT(http_get(server.port(), "/readyz"), Contains("503") && Contains("not ready"));
  ready = true;
  CHECK_THAT(http_get(server.port(), "/readyz"), Contains("200") && Contains("ready"));
  CHECK_THAT(http_get(server.port(), "/other"), Contains("404"));

  SECTION("a port that is taken is named, with what to do") {
    sink::MetricsServer second("127.0.0.1", server.port(), {&registry}, [] { return true; });
    const auto started = second.start();
    REQUIRE_FALSE(started);
    CHECK(started.error().to_string() == "cannot listen on 127.0.0.1:" + std::to_string(server.port()) +
                                             ": address in use; another agent or exporter has it: stop that, or set "
                                             "--metrics-listen");
  }
  SECTION("a stopped server leaves its port") {
    const auto port = server.port();
    server.stop();
    sink::MetricsServer next("127.0.0.1", port, {&registry}, [] { return true; });
    CHECK(next.start());
  }
}

TEST_CASE("services beyond the limit are added up as other; what one has stays its own") {
  prometheus::Registry registry;
  std::vector<sink::ServiceFigures> services(3);
  for (std::size_t i = 0; i < services.size(); ++i) {
    services[i].ns = "shop";
    services[i].name = std::string(1, static_cast<char>('a' + i));
    services[i].results = {{"established", 10 + i}};
    services[i].latency = {1, 2, 3};
    services[i].latency_sum_us = 500'000;
    services[i].active = i;
  }
  services[1].breaker = services[1].breaker_open = true;
  const sink::ServiceMetrics metrics(registry, [&services] { return services; }, {0.1, 0.2}, 1);
  const auto text = text_of(metrics);
  CHECK_THAT(text,
             Contains(R"(cortexflow_service_connections_total{namespace="shop",service="a",result="established"} 10)"));
  CHECK_THAT(
      text,
      Contains(R"(cortexflow_service_connections_total{namespace="other",service="other",result="established"} 23)"));
  CHECK_THAT(text, !Contains(R"(service="b")"));
  CHECK_THAT(text, Contains(R"(cortexflow_service_active_connections{namespace="other",service="other"} 3)"));
  CHECK_THAT(text, Contains(R"(service_mesh_circuit_breaker_open{namespace="other",service="other"} 1)"));
  CHECK_THAT(
      text, Contains(R"(cortexflow_service_connect_duration_seconds_bucket{namespace="shop",service="a",le="0.2"} 3)"));
  CHECK_THAT(
      text,
      Contains(R"(cortexflow_service_connect_duration_seconds_bucket{namespace="shop",service="a",le="+Inf"} 6)"));
  CHECK_THAT(text_of(registry), Contains(R"(cortexflow_metric_label_overflow_total{label="service"} 2)"));
  auto fresh = services[0];
  fresh.name = "d";
  services.erase(services.begin());  // its place is free again
  services.push_back(fresh);
  const auto later = text_of(metrics);
  CHECK_THAT(later, Contains(R"(service="d",result="established"} 10)") && !Contains(R"(service="a")"));
  CHECK_THAT(later, Contains(R"(namespace="other",service="other",result="established"} 23)"));
  services.erase(services.begin());  // one of the others
  const auto last = text_of(metrics);
  CHECK_THAT(last,
             Contains(R"(namespace="other",service="other",result="established"} 23)") && !Contains(R"(service="b")"));
  CHECK_THAT(last, Contains(R"(cortexflow_service_active_connections{namespace="other",service="other"} 2)"));
}
