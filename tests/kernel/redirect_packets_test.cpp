// SPDX-License-Identifier: Apache-2.0
// What the redirect programs do with a packet: verdict, what it becomes, and that no octet sequence makes them write a
// wrong checksum.
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "agent/kernel/tc_hook.h"
#include "tests/kernel/edge_program.h"
#include "tests/kernel/mutation.h"
#include "tests/kernel/redirect_program.h"
#include "tests/kernel/sockets.h"

using namespace cortexflow;
using namespace cortexflow::test;
using compile::ServicePlan;

namespace {

const Peer kCaller{"10.1.0.5", 40000}, kFront{"10.96.0.1", 80}, kBackend{"10.2.0.7", 8080};
const Peer kCaller6{"fd01::5", 40000}, kFront6{"fd96::1", 80}, kBackend6{"fd02::7", 8080};
constexpr auto kTo = Side::kToWorkload;

ServicePlan plan_of(const Peer& front, const std::vector<Peer>& backends,
                    model::Protocol protocol = model::Protocol::kTcp) {
  ServicePlan plan;
  plan.service = {"shop", front.address + std::to_string(static_cast<int>(protocol))};
  plan.protocol = protocol;
  plan.frontends.emplace_back(ip(front.address), front.port);
  for (const auto& backend : backends) plan.slots.push_back({ip(backend.address), backend.port});
  return plan;
}

void serve_all(RedirectProgram& program) {
  for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
    program.serve(plan_of(kFront, {kBackend}, protocol));
    program.serve(plan_of(kFront6, {kBackend6}, protocol));
  }
}

std::string said(const Redirected& outcome) {
  return std::to_string(outcome.verdict) + " " + std::to_string(outcome.action) + " " + describe(outcome.frame);
}

std::string expect(cf_redirect_verdict verdict, int action, const std::string& frame) {
  return std::to_string(verdict) + " " + std::to_string(action) + " " + frame;
}

constexpr int kPass = RedirectProgram::kPass, kDrop = RedirectProgram::kDrop, kBack = RedirectProgram::kSentBack;
const Tcp kSynOnly{kSyn}, kAckOnly{kAck}, kFinAck{static_cast<std::uint8_t>(kFin | kAck)}, kRstOnly{kRst};

}  // namespace

TEST_CASE("redirect: a call to a service goes to its backend, and the answer comes from the service") {
  RedirectProgram program;
  serve_all(program);
  struct Row {
    const char* sentence;
    Bytes frame;
    Side side;
    std::string expected;
  };
  const Bytes payload(1000, 0x5a), odd(333, 0xa5);
  const IpHeader options{64, 8, 0, 7}, first{64, 0, 0x2000, 9}, later{64, 0, 0x0010, 9};
  const auto in = Side::kFromWorkload;
  const std::vector<Row> rows{
      {"a SYN opens", tcp_frame(kCaller, kFront, kSynOnly), in,
       expect(CF_REDIRECT_V_OPENED, kPass, "10.1.0.5:40000>10.2.0.7:8080 tcp S ttl 64")},
      {"a segment goes on", tcp_frame(kCaller, kFront, kAckOnly, payload), in,
       expect(CF_REDIRECT_V_FORWARDED, kPass, "10.1.0.5:40000>10.2.0.7:8080 tcp . ttl 64")},
      {"the answer comes back", tcp_frame(kBackend, kCaller, kAckOnly, odd), kTo,
       expect(CF_REDIRECT_V_REVERSED, kPass, "10.96.0.1:80>10.1.0.5:40000 tcp . ttl 64")},
      {"IPv6: a SYN opens", tcp_frame(kCaller6, kFront6, kSynOnly), in,
       expect(CF_REDIRECT_V_OPENED, kPass, "[fd01::5]:40000>[fd02::7]:8080 tcp S ttl 64")},
      {"IPv6: the answer comes back", tcp_frame(kBackend6, kCaller6, kAckOnly, odd), kTo,
       expect(CF_REDIRECT_V_REVERSED, kPass, "[fd96::1]:80>[fd01::5]:40000 tcp . ttl 64")},
      {"a datagram opens", udp_frame(kCaller, kFront, odd), in,
       expect(CF_REDIRECT_V_OPENED, kPass, "10.1.0.5:40000>10.2.0.7:8080 udp ttl 64")},
      {"without a checksum it stays without", udp_frame(kCaller, kFront, odd, {}, false), in,
       expect(CF_REDIRECT_V_FORWARDED, kPass, "10.1.0.5:40000>10.2.0.7:8080 udp unchecked ttl 64")},
      {"IPv4 options stay", udp_frame(kCaller, kFront, odd, options), in,
       expect(CF_REDIRECT_V_FORWARDED, kPass, "10.1.0.5:40000>10.2.0.7:8080 udp options ttl 64")},
      {"IPv6: a datagram behind a hop-by-hop header opens", udp_frame(kCaller6, kFront6, odd, options), in,
       expect(CF_REDIRECT_V_OPENED, kPass, "[fd01::5]:40000>[fd02::7]:8080 udp options ttl 64")},
      {"a later part before the first", later_fragment(kCaller, kFront, 17, later), in,
       expect(CF_REDIRECT_V_FRAGMENT_UNKNOWN, kPass, "10.1.0.5>10.96.0.1 fragment later ttl 64")},
      {"a first part", udp_frame(kCaller, kFront, odd, first), in,
       expect(CF_REDIRECT_V_FORWARDED, kPass, "10.1.0.5:40000>10.2.0.7:8080 udp first ttl 64")},
      {"a later part", later_fragment(kCaller, kFront, 17, later), in,
       expect(CF_REDIRECT_V_FRAGMENT, kPass, "10.1.0.5>10.2.0.7 fragment later ttl 64")},
      {"IPv6: a first part", udp_frame(kCaller6, kFront6, odd, first), in,
       expect(CF_REDIRECT_V_FORWARDED, kPass, "[fd01::5]:40000>[fd02::7]:8080 udp first ttl 64")},
      {"IPv6: a later part", later_fragment(kCaller6, kFront6, 17, later), in,
       expect(CF_REDIRECT_V_FRAGMENT, kPass, "fd01::5>fd02::7 fragment later ttl 64")},
      {"a router's word about a translated packet",
       icmp_error("10.9.0.1", 3, 4, 1300, tcp_frame(kCaller, kBackend, kAckOnly, payload)), kTo,
       expect(CF_REDIRECT_V_ICMP, kPass,
              "10.9.0.1>10.1.0.5 icmp 3/4 mtu 1300 ttl 64 [10.1.0.5:40000>10.96.0.1:80 tcp ttl 64]")},
      {"the backend's own word", icmp_error(kBackend.address, 3, 3, 0, udp_frame(kCaller, kBackend)), kTo,
       expect(CF_REDIRECT_V_ICMP, kPass,
              "10.96.0.1>10.1.0.5 icmp 3/3 ttl 64 [10.1.0.5:40000>10.96.0.1:80 udp ttl 64]")},
      {"the caller's word about an answer", icmp_error(kCaller.address, 3, 3, 0, udp_frame(kFront, kCaller)), in,
       expect(CF_REDIRECT_V_ICMP, kPass,
              "10.1.0.5>10.2.0.7 icmp 3/3 ttl 64 [10.2.0.7:8080>10.1.0.5:40000 udp ttl 64]")},
      {"IPv6: a router's word", icmp_error("fd09::1", 2, 0, 1300, tcp_frame(kCaller6, kBackend6, kAckOnly, payload)),
       kTo,
       expect(CF_REDIRECT_V_ICMP, kPass,
              "fd09::1>fd01::5 icmp 2/0 mtu 1300 ttl 64 [[fd01::5]:40000>[fd96::1]:80 tcp ttl 64]")},
      {"IPv6: the backend's own word", icmp_error(kBackend6.address, 1, 4, 0, udp_frame(kCaller6, kBackend6)), kTo,
       expect(CF_REDIRECT_V_ICMP, kPass, "fd96::1>fd01::5 icmp 1/4 ttl 64 [[fd01::5]:40000>[fd96::1]:80 udp ttl 64]")},
      {"another service's port", tcp_frame(kCaller, {kFront.address, 81}, kSynOnly), in,
       expect(CF_REDIRECT_V_NOT_SERVICE, kPass, "10.1.0.5:40000>10.96.0.1:81 tcp S ttl 64")},
      {"what connect time has translated", tcp_frame({"10.1.0.5", 40001}, kBackend, kSynOnly), in,
       expect(CF_REDIRECT_V_NOT_SERVICE, kPass, "10.1.0.5:40001>10.2.0.7:8080 tcp S ttl 64")},
      {"an answer to nobody", tcp_frame(kBackend, {"10.1.0.5", 40001}, kAckOnly), kTo,
       expect(CF_REDIRECT_V_NOT_SERVICE, kPass, "10.2.0.7:8080>10.1.0.5:40001 tcp . ttl 64")},
      {"the middle of a connection that is not known", tcp_frame({"10.1.0.5", 40002}, kFront, {kAck, 5, 77}, odd), in,
       expect(CF_REDIRECT_V_REFUSED_UNKNOWN, kBack, "10.96.0.1:80>10.1.0.5:40002 tcp R ttl 64")},
      {"IPv6: likewise", tcp_frame({"fd01::5", 40002}, kFront6, {kAck, 5, 77}, odd), in,
       expect(CF_REDIRECT_V_REFUSED_UNKNOWN, kBack, "[fd96::1]:80>[fd01::5]:40002 tcp R ttl 64")},
      {"a reset of a connection that is not known", tcp_frame({"10.1.0.5", 40002}, kFront, kRstOnly), in,
       expect(CF_REDIRECT_V_REFUSED_UNKNOWN, kDrop, "10.1.0.5:40002>10.96.0.1:80 tcp R ttl 64")},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    const auto outcome = program.run(row.frame, row.side);
    CHECK(said(outcome) == row.expected);
    CHECK((outcome.sum_holds || outcome.action == kBack));
  }
}

TEST_CASE("redirect: what can't be served is refused, and says so") {
  RedirectProgram program;
  std::uint16_t port = 100;
  program.serve(plan_of(kFront, {}));
  program.serve(plan_of(kFront, {}, model::Protocol::kUdp));
  program.serve(plan_of(kFront6, {}));
  CHECK(said(program.run(tcp_frame(kCaller, kFront, kSynOnly))) ==
        expect(CF_REDIRECT_V_REFUSED_EMPTY, kBack, "10.96.0.1:80>10.1.0.5:40000 tcp R. ttl 64"));
  CHECK(said(program.run(tcp_frame(kCaller6, kFront6, kSynOnly))) ==
        expect(CF_REDIRECT_V_REFUSED_EMPTY, kBack, "[fd96::1]:80>[fd01::5]:40000 tcp R. ttl 64"));
  CHECK(program.run(udp_frame(kCaller, kFront)).verdict == CF_REDIRECT_V_REFUSED_EMPTY);
  program.serve(plan_of(kFront, {{"127.0.0.1", 8080}}));
  CHECK(program.run(tcp_frame(kCaller, kFront, kSynOnly)).verdict == CF_REDIRECT_V_REFUSED_UNREACHABLE);
  program.serve(plan_of(kFront6, {{"::1", 8080}}));
  CHECK(program.run(tcp_frame(kCaller6, kFront6, kSynOnly)).verdict == CF_REDIRECT_V_REFUSED_UNREACHABLE);
  program.serve(plan_of(kFront6, {{"10.2.0.7", 8080}}));  // another family's
  CHECK(program.run(tcp_frame(kCaller6, kFront6, kSynOnly)).verdict == CF_REDIRECT_V_REFUSED_UNREACHABLE);
  for (const auto* like_loopback : {"fd02::1", "fd02::7f00:1", "::7f00:1"}) {
    program.serve(plan_of(kFront6, {{like_loopback, 8080}}));
    CHECK(program.run(tcp_frame({kCaller6.address, ++port}, kFront6, kSynOnly)).verdict == CF_REDIRECT_V_OPENED);
  }
  auto limited = plan_of(kFront, {kBackend});
  limited.circuit_breaker.max_connections = 1;
  program.serve(limited);
  CHECK(program.run(tcp_frame(kCaller, kFront, kSynOnly)).verdict == CF_REDIRECT_V_OPENED);
  CHECK(said(program.run(tcp_frame({kCaller.address, 40001}, kFront, kSynOnly))) ==
        expect(CF_REDIRECT_V_REFUSED_BREAKER, kBack, "10.96.0.1:80>10.1.0.5:40001 tcp R. ttl 64"));
}

TEST_CASE("redirect: a connection counts until both ends have closed it, or one has reset it") {
  constexpr std::uint64_t kOne = 1ULL << 32 | 1;  // of its backend and its service
  RedirectProgram program;
  serve_all(program);
  const auto open = [&](std::uint16_t port) {
    CHECK(program.run(tcp_frame({kCaller.address, port}, kFront, kSynOnly)).verdict == CF_REDIRECT_V_OPENED);
  };
  open(1);
  CHECK(program.active() == kOne);
  CHECK(program.run(tcp_frame({kCaller.address, 1}, kFront, kSynOnly)).verdict == CF_REDIRECT_V_FORWARDED);
  CHECK(program.active() == kOne);
  program.run(tcp_frame({kCaller.address, 1}, kFront, kFinAck));
  CHECK(program.active() == kOne);
  program.run(tcp_frame(kBackend, {kCaller.address, 1}, kFinAck), kTo);
  CHECK(program.active() == 0);
  CHECK(program.run(tcp_frame({kCaller.address, 1}, kFront, kAckOnly)).verdict == CF_REDIRECT_V_FORWARDED);
  open(1);  // the port again: another connection
  CHECK(program.active() == kOne);
  program.run(tcp_frame(kBackend, {kCaller.address, 1}, kRstOnly), kTo);
  CHECK(program.active() == 0);
  open(2), open(3);
  CHECK(program.active() == 2 * kOne);
  program.run(tcp_frame({kCaller.address, 3}, kFront, kRstOnly));
  CHECK(program.active() == kOne);
  program.run(udp_frame(kCaller, kFront));
  CHECK(program.active() == kOne);
}

TEST_CASE("redirect: a connection that ends without a word counts until its time is up") {
  using std::chrono::seconds;
  RedirectProgram program;
  serve_all(program);
  program.run(tcp_frame({kCaller.address, 1}, kFront, kSynOnly));  // nobody answers
  program.run(tcp_frame({kCaller.address, 2}, kFront, kSynOnly));
  program.run(tcp_frame(kBackend, {kCaller.address, 2}, {static_cast<std::uint8_t>(kSyn | kAck)}), kTo);
  const auto live = [&] { return program.active() & 0xffff; };
  program.expire(seconds(100));
  CHECK(live() == 2);
  program.expire(seconds(200));
  CHECK(live() == 1);
  program.expire(seconds(7000));
  CHECK(live() == 1);
  program.expire(seconds(9000));
  CHECK(program.active() == 0);
  program.run(tcp_frame({kCaller.address, 3}, kFront, kSynOnly));
  program.forget_flows();
  CHECK(live() == 1);
  program.expire(seconds(0));
  CHECK(program.active() == 0);
}

TEST_CASE("redirect: TCP stays with a backend that has gone, new connections and datagrams move") {
  RedirectProgram program;
  serve_all(program);
  program.run(tcp_frame(kCaller, kFront, kSynOnly));
  program.run(udp_frame(kCaller, kFront));
  const Peer other{"10.2.0.8", 8080};
  for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
    program.serve(plan_of(kFront, {other}, protocol));
  }
  CHECK(describe(program.run(tcp_frame(kCaller, kFront, kAckOnly)).frame) ==
        "10.1.0.5:40000>10.2.0.7:8080 tcp . ttl 64");
  CHECK(describe(program.run(tcp_frame({kCaller.address, 2}, kFront, kSynOnly)).frame) ==
        "10.1.0.5:2>10.2.0.8:8080 tcp S ttl 64");
  CHECK(said(program.run(udp_frame(kCaller, kFront))) ==
        expect(CF_REDIRECT_V_OPENED, kPass, "10.1.0.5:40000>10.2.0.8:8080 udp ttl 64"));
}

TEST_CASE("redirect: a caller that is its own backend is answered by the service") {
  RedirectProgram program;
  program.serve(plan_of(kFront, {{kCaller.address, 8080}}));
  program.serve(plan_of(kFront6, {{kCaller6.address, 8080}}));
  CHECK(said(program.run(tcp_frame(kCaller, kFront, kSynOnly))) ==
        expect(CF_REDIRECT_V_HAIRPIN, kBack, "10.96.0.1:40000>10.1.0.5:8080 tcp S ttl 64"));
  CHECK(said(program.run(tcp_frame({kCaller.address, 8080}, {kFront.address, 40000}, kAckOnly))) ==
        expect(CF_REDIRECT_V_HAIRPIN, kBack, "10.96.0.1:80>10.1.0.5:40000 tcp . ttl 64"));
  CHECK(said(program.run(icmp_error(kCaller.address, 3, 3, 0,
                                    tcp_frame({kFront.address, 40000}, {kCaller.address, 8080}, kSynOnly)))) ==
        expect(CF_REDIRECT_V_HAIRPIN, kBack,
               "10.96.0.1>10.1.0.5 icmp 3/3 ttl 64 [10.1.0.5:40000>10.96.0.1:80 tcp ttl 64]"));
  CHECK(said(program.run(tcp_frame(kCaller6, kFront6, kSynOnly))) ==
        expect(CF_REDIRECT_V_HAIRPIN, kBack, "[fd96::1]:40000>[fd01::5]:8080 tcp S ttl 64"));
}

TEST_CASE("redirect: a source port that another flow to the backend has is changed on the way, and back") {
  RedirectProgram program;
  const Peer twin{"10.96.0.2", 80};
  program.serve(plan_of(kFront, {kBackend}));
  program.serve(plan_of(twin, {kBackend}));
  program.run(tcp_frame(kCaller, kFront, kSynOnly));
  const auto text = describe(program.run(tcp_frame(kCaller, twin, kSynOnly)).frame);
  const auto colon = text.find(':');
  const auto port = static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1)));
  CHECK(port >= CF_REDIRECT_PORT_MIN);
  CHECK(describe(program.run(tcp_frame(kBackend, {kCaller.address, port}, kAckOnly), kTo).frame) ==
        "10.96.0.2:80>10.1.0.5:40000 tcp . ttl 64");
  CHECK(describe(program.run(tcp_frame(kBackend, kCaller, kAckOnly), kTo).frame) ==
        "10.96.0.1:80>10.1.0.5:40000 tcp . ttl 64");
  CHECK(program.flows() == 4);
}

TEST_CASE("redirect: no sequence of octets is given a wrong checksum or another length", "[volume]") {
  RedirectProgram program;
  serve_all(program);
  const Bytes payload(40, 0x5a);
  const IpHeader options{64, 8, 0, 7}, first{64, 0, 0x2000, 9}, later{64, 0, 0x0010, 9};
  std::vector<std::pair<Bytes, Side>> seeds;
  const auto both = [&](const Peer& caller, const Peer& front, const Peer& backend, const std::string& router,
                        bool v6) {
    for (const auto& tcp : {kSynOnly, kAckOnly, kFinAck, kRstOnly}) {
      seeds.emplace_back(tcp_frame(caller, front, tcp, payload), Side::kFromWorkload);
      seeds.emplace_back(tcp_frame(backend, caller, tcp, payload), kTo);
    }
    for (const auto& header : {IpHeader{}, options, first}) {
      seeds.emplace_back(udp_frame(caller, front, payload, header), Side::kFromWorkload);
      seeds.emplace_back(udp_frame(backend, caller, payload, header), kTo);
    }
    seeds.emplace_back(later_fragment(caller, front, 17, later), Side::kFromWorkload);
    seeds.emplace_back(icmp_error(router, v6 ? 2 : 3, v6 ? 0 : 4, 1300, tcp_frame(caller, backend, kAckOnly)), kTo);
    seeds.emplace_back(icmp_error(caller.address, v6 ? 1 : 3, 3, 0, udp_frame(front, caller)), Side::kFromWorkload);
  };
  both(kCaller, kFront, kBackend, "10.9.0.1", false);
  both(kCaller6, kFront6, kBackend6, "fd09::1", true);
  const auto is_bad = [](const Bytes& frame) { return describe(frame).find("BAD") != std::string::npos; };
  const auto seed = mutation_seed("redirect");
  CAPTURE(seed);
  Mutator mutator(seed);
  std::size_t translated = 0, passed = 0;
  for (int i = 0; i < 60000; ++i) {
    const auto& [whole, side] = seeds[mutator.below(seeds.size())];
    auto frame = mutator.mutate(whole);
    if (mutator.below(8) == 0 && frame.size() > 15) frame.resize(15 + mutator.below(frame.size() - 15));
    Redirected outcome;
    try {
      outcome = program.run(frame, side);
    } catch (const std::runtime_error&) {
      if (frame.size() >= 54) throw;  // test-run itself refuses frames without an IP header
      continue;
    }
    REQUIRE((outcome.sum_holds || outcome.action == kBack));
    const bool reset = outcome.action == kBack && outcome.frame.size() != frame.size();
    if (!reset) REQUIRE(outcome.frame.size() == frame.size());
    if (outcome.verdict < CF_REDIRECT_V_OPENED) {  // not ours: passed as it came
      ++passed;
      REQUIRE(outcome.action == RedirectProgram::kPass);
      REQUIRE(outcome.frame == frame);
    }
    if (outcome.action == RedirectProgram::kDrop) REQUIRE(outcome.verdict >= CF_REDIRECT_V_REFUSED_EMPTY);
    if (outcome.frame == frame) continue;
    ++translated;
    REQUIRE((outcome.verdict >= CF_REDIRECT_V_OPENED || reset));
    const bool headers_alone = outcome.verdict >= CF_REDIRECT_V_OPENED && outcome.verdict <= CF_REDIRECT_V_FRAGMENT;
    constexpr std::size_t kLongestHeaders = 14 + 60 + 18;  // options, and TCP's up to its checksum
    if (headers_alone && frame.size() > kLongestHeaders) {
      REQUIRE(std::equal(frame.begin() + kLongestHeaders, frame.end(), outcome.frame.begin() + kLongestHeaders));
    }
    if (is_bad(outcome.frame) && !is_bad(frame)) FAIL(describe(frame) << " became " << describe(outcome.frame));
  }
  CHECK(translated > 5000);
  CHECK(passed > 5000);
}

TEST_CASE("redirect: the programs hang on an interface by whatever hook the kernel has, and go without a trace") {
  RedirectProgram program;
  const OwnNetns netns;
  const auto index = static_cast<int>(if_nametoindex("way0"));
  const auto sent = [&](const Bytes& frame) {  // from the other end
    const Fd wire(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(if_nametoindex("way1"));
    const auto before = program.count(CF_REDIRECT_V_REFUSED_EMPTY);
    REQUIRE(sendto(wire.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) > 0);
    return program.count(CF_REDIRECT_V_REFUSED_EMPTY) - before;  // a veth hands frames over before sendto() returns
  };
  program.serve(plan_of(kFront, {}, model::Protocol::kUdp));
  const auto frame = udp_frame(kCaller, kFront);
  const auto pins = program.pins() + "/redirect_if" + std::to_string(index);
  REQUIRE(kernel::attach_clsact(index, program.hooks()));
  CHECK(sent(frame) == 1);
  REQUIRE(kernel::attach_clsact(index, program.hooks()));  // again: in the place of the first
  CHECK(sent(frame) == 1);
  kernel::detach_tc(index, kernel::TcUser::kRedirect, pins);
  CHECK(sent(frame) == 0);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(kernel::attach_tc(index, program.hooks(), pins));
    CHECK(sent(frame) == 1);
  }
  kernel::detach_tc(index, kernel::TcUser::kRedirect, pins);
  CHECK(sent(frame) == 0);
}
