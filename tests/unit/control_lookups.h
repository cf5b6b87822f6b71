// SPDX-License-Identifier: Apache-2.0
// Lookups for the control API's tests.
#pragma once

#include <chrono>

#include "agent/model/dns_lookup.h"

namespace cortexflow::test {

using namespace std::chrono_literals;

inline constexpr std::uint16_t kServFail = 2;
inline constexpr std::uint16_t kNxDomain = 3;

inline model::IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
}

inline model::IpAddress v6_loopback() {
  model::IpAddress address;
  address.octets[15] = 1;
  return address;
}

inline model::DnsLookup answered() {
  model::DnsLookup l;
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

inline model::DnsLookup timed_out() {
  auto l = answered();
  l.has_answer = false;
  l.outcome = model::DnsOutcome::kTimeout;
  return l;
}

inline model::DnsLookup with_rcode(std::uint16_t rcode) {
  auto l = answered();
  l.rcode = rcode;
  return l;
}

inline model::DnsLookup over_v6() {
  auto l = answered();
  l.server = v6_loopback();
  return l;
}

}  // namespace cortexflow::test
