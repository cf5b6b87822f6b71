// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a packet of the redirect programs, by BPF_PROG_TEST_RUN, as JSON: least and median of interleaved rounds.
// The service's address is its backend's too, so that a packet that was translated can be run again: all the work is
// done, with the same values.  Needs root.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <vector>

#include "tests/kernel/redirect_program.h"
#include "tests/kernel/sockets.h"

using namespace cortexflow;
using namespace cortexflow::test;

int main(int argc, char** argv) try {
  const int repeat = argc > 1 ? std::atoi(argv[1]) : 200000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 15;
  const Peer caller{"10.1.0.5", 40000}, front{"10.96.0.1", 80}, caller6{"fd01::5", 40000}, front6{"fd96::1", 80};
  RedirectProgram program;
  for (const auto& peer : {front, front6}) {
    for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
      compile::ServicePlan plan;
      plan.service = {"bench", peer.address + std::to_string(static_cast<int>(protocol))};
      plan.protocol = protocol;
      plan.frontends.emplace_back(ip(peer.address), peer.port);
      plan.slots.push_back({ip(peer.address), peer.port});
      program.serve(plan);
    }
  }
  for (const auto& [from, to] : {std::pair{caller, front}, std::pair{caller6, front6}}) {
    program.run(tcp_frame(from, to, {kSyn}));
    program.run(udp_frame(from, to));
  }
  auto arp = tcp_frame(caller, front);
  arp[12] = 0x08, arp[13] = 0x06;
  std::uint16_t port = 1;
  const auto from = Side::kFromWorkload, to = Side::kToWorkload;
  const auto several = [&](const std::function<Bytes()>& frame) {  // one run each
    std::uint64_t sum = 0;
    const int runs = std::min(repeat, 2000);
    for (int i = 0; i < runs; ++i) sum += program.time(frame(), from, 1);
    return static_cast<std::uint32_t>(sum / static_cast<std::uint64_t>(runs));
  };
  const auto same = [&](const Bytes& frame, Side side, cf_redirect_verdict verdict) {
    return [&program, frame, side, repeat, verdict] {
      const auto before = program.count(verdict);
      const auto time = program.time(frame, side, repeat);
      if (program.count(verdict) - before < static_cast<std::uint64_t>(repeat)) {
        throw std::runtime_error("a packet had another verdict than the one that is measured");
      }
      return time;
    };
  };
  auto other = tcp_frame(caller, {"10.96.0.2", 80});
  const std::vector<std::pair<const char*, std::function<std::uint32_t()>>> cases{
      {"floor: not IP", same(arp, from, CF_REDIRECT_V_OTHER)},
      {"not ours, from the workload", same(other, from, CF_REDIRECT_V_NOT_SERVICE)},
      {"not ours, IPv6", same(tcp_frame(caller6, {"fd96::2", 80}), from, CF_REDIRECT_V_NOT_SERVICE)},
      {"not ours, to the workload", same(tcp_frame({"10.96.0.2", 80}, caller), to, CF_REDIRECT_V_NOT_SERVICE)},
      {"known, TCP", same(tcp_frame(caller, front), from, CF_REDIRECT_V_FORWARDED)},
      {"known, TCP, IPv6", same(tcp_frame(caller6, front6), from, CF_REDIRECT_V_FORWARDED)},
      {"known, UDP", same(udp_frame(caller, front), from, CF_REDIRECT_V_FORWARDED)},
      {"answer, TCP", same(tcp_frame(front, caller), to, CF_REDIRECT_V_REVERSED)},
      {"answer, TCP, IPv6", same(tcp_frame(front6, caller6), to, CF_REDIRECT_V_REVERSED)},
      {"floor of single runs: not ours", [&] { return several([&]() -> Bytes { return other; }); }},
      {"first, TCP (single runs)",
       [&] { return several([&] { return tcp_frame({"10.1.0.6", port++}, front, {kSyn}); }); }},
      {"first, UDP (single runs)", [&] { return several([&] { return udp_frame({"10.1.0.7", port++}, front); }); }},
  };
  std::vector<std::vector<std::uint32_t>> times(cases.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < cases.size(); ++i) times[i].push_back(cases[i].second());
  }
  fmt::print("{{");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    std::sort(times[i].begin(), times[i].end());
    fmt::print("{}\"{}\": {{\"least\": {}, \"median\": {}}}", i == 0 ? "" : ", ", cases[i].first, times[i].front(),
               times[i][times[i].size() / 2]);
  }
  fmt::print("}}\n");
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "redirect_bench: {}\n", error.what());
  return 1;
}
