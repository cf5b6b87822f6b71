// SPDX-License-Identifier: Apache-2.0
// DNS messages and the packets around them, octet by octet, as a cgroup_skb program sees them (from the IP header on).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cortexflow::test {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes left, const Bytes& right);
// Two octets, in network order.
Bytes be16(std::size_t value);

// "www.example" -> 3www7example0
Bytes wire_name(const std::string& dotted);

struct Message {
  std::uint16_t id = 1;
  std::uint16_t flags = 0x0100;  // RD; 0x8000 makes it an answer
  Bytes name = wire_name("www.example");
  std::uint16_t type = 1;
  std::uint16_t questions = 1;
  std::vector<Bytes> answers{}, authority{}, additional{};  // whole records

  // Header, question (if questions > 0) and records.
  [[nodiscard]] Bytes bytes() const;
};

// A resource record under `name` with `size` octets of data.
Bytes record(const Bytes& name, std::uint16_t type, std::size_t size);
// An OPT record (RFC 6891 6.1.2) with `size` octets of options.
Bytes opt(std::uint16_t payload_size, std::uint8_t extended_rcode, std::size_t size = 0);

struct Ports {
  std::uint16_t source = 40000, dest = 53;
};
inline constexpr Ports kToServer{40000, 53};
inline constexpr Ports kFromServer{53, 40000};

Bytes udp(const Bytes& payload, Ports ports = kToServer);
enum TcpFlags : std::uint8_t { kFin = 1, kSyn = 2, kRst = 4, kAck = 16 };
Bytes tcp(const Bytes& payload, Ports ports = kToServer, std::uint8_t flags = kAck, std::uint8_t header_words = 5);
// The message with its length before it (RFC 1035 4.2.2).
Bytes prefixed(const Bytes& message);

struct Ip4 {
  std::uint8_t protocol = 17;
  std::uint8_t header_words = 5;  // as written; as many are there, at least 5
  std::uint16_t fragment = 0;     // flags and offset
  std::uint8_t version = 4;
};
Bytes ip4(const Bytes& payload, const Ip4& header = {});

// `extensions` stand between the IPv6 header and the payload; `next` is the type of the first of them.
Bytes ip6(const Bytes& payload, std::uint8_t next = 17, const Bytes& extensions = {});

}  // namespace cortexflow::test
