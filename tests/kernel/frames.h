// SPDX-License-Identifier: Apache-2.0
// Ethernet frames with valid checksums, and what one says in a line of text.  Shares no code with bpf/.
#pragma once

#include <cstdint>
#include <string>

#include "tests/kernel/packets.h"

namespace cortexflow::test {

struct Peer {
  std::string address;  // of either family
  std::uint16_t port = 0;
};

struct IpHeader {
  std::uint8_t ttl = 64;
  std::size_t options = 0;     // octets of IPv4 options, or of an IPv6 hop-by-hop header
  std::uint16_t fragment = 0;  // IPv4's flags and offset; with IPv6, its meaning is put into a fragment header
  std::uint32_t id = 7;
};

struct Tcp {
  std::uint8_t flags = kAck;
  std::uint32_t sequence = 1000;
  std::uint32_t ack = 0;
};

Bytes tcp_frame(const Peer& from, const Peer& to, const Tcp& tcp = {}, const Bytes& payload = {},
                const IpHeader& ip = {});
Bytes udp_frame(const Peer& from, const Peer& to, const Bytes& payload = {'h', 'i'}, const IpHeader& ip = {},
                bool checksum = true);
// A part of a datagram that has no header of TCP's or UDP's.
Bytes later_fragment(const Peer& from, const Peer& to, std::uint8_t protocol, const IpHeader& ip);
// From `router` to whoever sent `about`, a frame; quotes its headers and 8 octets.
Bytes icmp_error(const std::string& router, std::uint8_t type, std::uint8_t code, std::uint32_t word,
                 const Bytes& about);

// "198.51.100.1:40000>203.0.113.1:80 tcp S ttl 64", tunnels and quoted packets in brackets; "BAD ..." for a length or
// checksum that is wrong.  What an ICMP error quotes is checked as far as it goes: its IPv4 header.
std::string describe(const Bytes& frame);

}  // namespace cortexflow::test
