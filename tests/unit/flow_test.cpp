// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string_view>

#include "agent/compile/policy_plan.h"
#include "agent/control/flow_filter.h"
#include "agent/control/json.h"
#include "agent/events/flow_event.h"
#include "agent/events/policy_event.h"
#include "agent/flow/flow_builder.h"
#include "cli/flow_row.h"

using namespace cortexflow;
using namespace std::chrono_literals;
using control::FlowFilter;
using events::DecodeError;

namespace {

cf_flow record() {
  cf_flow out{};
  out.head = {CF_EVENT_FLOW, CF_FLOW_VERSION, sizeof out};
  out.start_ns = 1'000'000;
  out.established_ns = 1'040'000;
  out.end_ns = 3'000'000;
  out.direction = CF_FLOW_OUT;
  out.outcome = CF_FLOW_CLOSED;
  const auto put = [](__u8(&to)[16], const char* text) {
    const auto octets = model::IpAddress::parse(text)->octets;
    std::memcpy(to, octets.data(), octets.size());
  };
  put(out.local, "10.0.0.1");
  put(out.remote, "10.0.0.2");
  out.local_port = 40000;
  out.remote_port = 8080;
  out.bytes_sent = 88;
  out.bytes_received = 24'422;
  out.tgid = 42;
  std::memcpy(out.comm, "cu\x1brl", 5);
  return out;
}

std::span<const std::byte> octets_of(const cf_flow& flow) { return std::as_bytes(std::span(&flow, 1)); }

flow::WorkloadResolver nobody() {
  return flow::WorkloadResolver({[](std::uint64_t) { return std::nullopt; }, [](std::uint32_t) { return std::nullopt; },
                                 [] { return std::chrono::steady_clock::time_point(); }});
}

model::Flow flow_of(const cf_flow& from) {
  auto resolver = nobody();
  return flow::build(from, 0ns, resolver);
}

// Pod web opened it to pod cart, by the service's address.
model::Flow from_web() {
  auto out = flow_of(record());
  out.workload.name = "shop/web";
  out.workload.ns = "shop";
  out.workload.pod = "web-1";
  out.peer.name = "store/cart";
  out.peer.ns = "store";
  out.peer.pod = "cart-1";
  out.service_address = model::IpAddress::parse("10.96.0.1");
  out.service_port = 80;
  out.service = "store/cart";
  out.policy = {"allowed", false, {"shop/allow[0]", "NetworkPolicy shop/web ingress[0]"}};
  return out;
}

model::Flow accepted() {
  auto from = record();
  from.direction = CF_FLOW_IN;
  from.established_ns = from.start_ns;
  from.outcome = CF_FLOW_RESET;
  auto out = flow_of(from);
  out.policy = {"not_allowed", true, {}};
  return out;
}

}  // namespace

TEST_CASE("a flow's record that is cut, of another kind, version or with fields out of range is refused by its cause") {
  CHECK(events::decode_flow(octets_of(record())));
  CHECK(events::decode_flow(octets_of(record()).first(sizeof(cf_flow) - 1)).error() == DecodeError::kShort);
  CHECK(events::decode_flow(octets_of(record()).first(3)).error() == DecodeError::kShort);
  const auto error = [](const auto& spoil) {
    auto flow = record();
    spoil(flow);
    return events::decode_flow(octets_of(flow)).error();
  };
  CHECK(error([](auto& f) { f.head.type = CF_EVENT_DNS_LOOKUP; }) == DecodeError::kUnknownType);
  CHECK(error([](auto& f) { f.head.version = 1; }) == DecodeError::kUnknownVersion);
  CHECK(error([](auto& f) { f.head.len = 20; }) == DecodeError::kShort);
  CHECK(error([](auto& f) { f.head.len = 1 << 20; }) == DecodeError::kShort);
  CHECK(error([](auto& f) { f.direction = 0; }) == DecodeError::kBadField);
  CHECK(error([](auto& f) { f.direction = 3; }) == DecodeError::kBadField);
  CHECK(error([](auto& f) { f.outcome = 0; }) == DecodeError::kBadField);
  CHECK(error([](auto& f) { f.outcome = CF_FLOW_OUTCOMES; }) == DecodeError::kBadField);
  CHECK(error([](auto& f) { f.policy.verdict = CF_POLICY_V_MAX; }) == DecodeError::kBadField);
}

TEST_CASE("a flow has a connect latency where this side opened it and it was established") {
  CHECK(flow_of(record()).connect_latency == 40us);
  CHECK(flow_of(record()).duration == 2ms);
  CHECK_FALSE(accepted().connect_latency);
  auto refused = record();
  refused.established_ns = 0;
  refused.outcome = CF_FLOW_REFUSED;
  CHECK_FALSE(flow_of(refused).connect_latency);
  auto backwards = record();  // another CPU's clock
  backwards.end_ns = 5;
  CHECK(flow_of(backwards).duration == 0ns);
  CHECK(flow_of(record()).comm == "cu?rl");
  CHECK_FALSE(flow_of(record()).service_address);
}

TEST_CASE("a flow is found by either side's names and addresses, its service, port and end") {
  struct Case {
    const char* field;
    const char* value;
    bool web, in;  // from_web(), accepted()
  };
  for (const auto& one : std::initializer_list<Case>{{"from", "shop/web", true, false},
                                                     {"from", "web-*", true, false},
                                                     {"from", "10.0.0.1", true, false},
                                                     {"from", "10.0.0.2", false, true},
                                                     {"from", "10.0.0.1:40000", true, false},
                                                     {"from", "10.0.0.1:40001", false, false},
                                                     {"from", "cart-1", false, false},
                                                     {"to", "store/cart", true, false},
                                                     {"to", "10.0.0.2:8080", true, false},
                                                     {"to", "10.96.0.1", true, false},
                                                     {"to", "10.96.0.1:80", true, false},
                                                     {"to", "10.0.0.1:40000", false, true},
                                                     {"workload", "cart-1", true, false},
                                                     {"workload", "shop/web-1", true, false},
                                                     {"namespace", "store", true, false},
                                                     {"namespace", "s*", true, false},
                                                     {"namespace", "other", false, false},
                                                     {"address", "10.0.0.2", true, true},
                                                     {"address", "10.0.0.3", false, false},
                                                     {"service", "cart", true, false},
                                                     {"service", "store/*", true, false},
                                                     {"service", "10.96.0.1:80", true, false},
                                                     {"service", "10.96.0.1:81", false, false},
                                                     {"port", "80", true, false},
                                                     {"port", "8080", true, false},
                                                     {"port", "40000", false, true},
                                                     {"process", "cu*", true, true},
                                                     {"pid", "42", true, true},
                                                     {"pid", "4", false, false},
                                                     {"direction", "out", true, false},
                                                     {"direction", "in", false, true},
                                                     {"outcome", "CLOSED", true, false},
                                                     {"outcome", "reset", false, true},
                                                     {"failed", "true", false, true},
                                                     {"failed", "false", true, false},
                                                     {"protocol", "tcp", true, true},
                                                     {"protocol", "udp", false, false},
                                                     {"verdict", "allowed", true, false},
                                                     {"verdict", "not_*", false, true},
                                                     {"verdict", "refused", false, true},
                                                     {"rule", "shop/allow[0]", true, false},
                                                     {"rule", "shop/allow[1]", false, false},
                                                     {"rule", "shop/*", true, false},
                                                     {"rule", "NetworkPolicy shop/web ingress", true, false},
                                                     {"min_duration", "2ms", true, true},
                                                     {"min_duration", "3ms", false, false},
                                                     {"min_connect", "40us", true, false},
                                                     {"min_connect", "41us", false, false}}) {
    INFO(one.field << "=" << one.value);
    const auto wanted = FlowFilter::parse({{one.field, one.value}});
    const auto unwanted = FlowFilter::parse({{std::string("not.") + one.field, one.value}});
    REQUIRE(wanted);
    REQUIRE(unwanted);
    CHECK(wanted->matches(from_web()) == one.web);
    CHECK(wanted->matches(accepted()) == one.in);
    CHECK(unwanted->matches(from_web()) != one.web);
    CHECK(unwanted->matches(accepted()) != one.in);
  }
}

TEST_CASE("a flow filter that can't be is refused with what is expected") {
  for (const auto& [field, value] : std::initializer_list<std::pair<const char*, const char*>>{{"port", "0"},
                                                                                               {"port", "65536"},
                                                                                               {"port", "http"},
                                                                                               {"pid", "-1"},
                                                                                               {"address", "cart"},
                                                                                               {"direction", "up"},
                                                                                               {"outcome", "fine"},
                                                                                               {"failed", "yes"},
                                                                                               {"min_connect", "soon"},
                                                                                               {"protocol", "sctp"},
                                                                                               {"from", ""},
                                                                                               {"not.to", ""}}) {
    const auto parsed = FlowFilter::parse({{field, value}});
    REQUIRE_FALSE(parsed);
    INFO(parsed.error().message);
    CHECK(parsed.error().message.find("expected") != std::string::npos);
  }
  CHECK_FALSE(FlowFilter::parse({{"not.colour", "red"}}));
}

TEST_CASE("a flow filter knows every verdict of policy, and refuses others") {
  std::vector<std::string> names;
  for (int i = 0; i < CF_POLICY_V_MAX; ++i)
    names.emplace_back(compile::verdict_name(static_cast<cf_policy_verdict>(i)));
  CHECK(control::policy_verdict_names() == names);
  for (const auto& name : names) CHECK(FlowFilter::parse({{"verdict", name}}));
  CHECK(FlowFilter::parse({{"verdict", "not_*"}}));
  CHECK_FALSE(FlowFilter::parse({{"verdict", "not_alowed"}}));
}

TEST_CASE("what policy refused is a flow that begins and ends with its packet, and no connection") {
  cf_policy_event event{};
  event.head = {CF_EVENT_POLICY, CF_POLICY_EVENT_VERSION, sizeof event};
  event.time_ns = 7;
  event.packets = 3;
  event.protocol = IPPROTO_UDP;
  event.direction = CF_POLICY_IN;
  event.judgment.verdict = CF_POLICY_V_NOT_ALLOWED;
  event.local_port = 53;
  const auto decode = [](const cf_policy_event& one) {
    return events::decode_policy(std::as_bytes(std::span(&one, 1)));
  };
  REQUIRE(decode(event));
  auto resolver = nobody();
  const auto denied = flow::build(*decode(event), 0ns, resolver);
  CHECK(denied.outcome == model::FlowOutcome::kDenied);
  CHECK(denied.direction == model::FlowDirection::kIn);
  CHECK(denied.protocol == model::FlowProtocol::kUdp);
  CHECK((denied.attempts == 3 && denied.duration == 0ns && denied.local_port == 53));
  CHECK((model::is_refusal(denied) && model::failed(denied)));
  event.judgment.verdict = CF_POLICY_V_WOULD_DENY;
  const auto audited = flow::build(*decode(event), 0ns, resolver);
  CHECK(audited.outcome == model::FlowOutcome::kWouldDeny);
  CHECK_FALSE(model::failed(audited));
  for (const auto& spoil : std::initializer_list<void (*)(cf_policy_event&)>{
           [](cf_policy_event& e) { e.protocol = 1; }, [](cf_policy_event& e) { e.direction = 2; },
           [](cf_policy_event& e) { e.judgment.verdict = CF_POLICY_V_MAX; }}) {
    auto bad = event;
    spoil(bad);
    CHECK(decode(bad).error() == DecodeError::kBadField);
  }
  event.head.type = CF_EVENT_FLOW;
  CHECK(decode(event).error() == DecodeError::kUnknownType);
}

TEST_CASE("a flow's row names the service, else the pod, else the address") {
  const auto row = [](const model::Flow& flow) { return cli::flow_row(control::to_json(flow), false); };
  CHECK(row(from_web()).find("store/cart:80") != std::string::npos);
  auto by_pod = from_web();
  by_pod.service.clear();
  CHECK(row(by_pod).find("store/cart:8080") != std::string::npos);
  by_pod.peer = {};
  CHECK(row(by_pod).find("10.0.0.2:8080") != std::string::npos);
  CHECK(row(by_pod).find(" 24.4k ") != std::string::npos);
  CHECK(row(by_pod).find(" allowed shop/allow[0] NetworkPolicy shop/web ingress[0]") != std::string::npos);
  CHECK(cli::flow_row(control::to_json(accepted()), true).find("remote=10.0.0.2:8080") != std::string::npos);
}
