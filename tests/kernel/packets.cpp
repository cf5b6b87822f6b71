// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/packets.h"

#include <algorithm>

namespace cortexflow::test {

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes be16(std::size_t value) {
  return {static_cast<std::uint8_t>(value >> 8 & 0xff), static_cast<std::uint8_t>(value & 0xff)};
}

Bytes wire_name(const std::string& dotted) {
  Bytes name;
  for (std::size_t at = 0; at < dotted.size();) {
    const auto dot = std::min(dotted.find('.', at), dotted.size());
    name.push_back(static_cast<std::uint8_t>(dot - at));
    name.insert(name.end(), dotted.begin() + static_cast<long>(at), dotted.begin() + static_cast<long>(dot));
    at = dot + 1;
  }
  name.push_back(0);
  return name;
}

Bytes Message::bytes() const {
  Bytes out = be16(id) + be16(flags) + be16(questions) + be16(answers.size()) + be16(authority.size()) +
              be16(additional.size());
  if (questions > 0) out = std::move(out) + name + be16(type) + be16(1);
  for (const auto* section : {&answers, &authority, &additional}) {
    for (const auto& one : *section) out = std::move(out) + one;
  }
  return out;
}

Bytes record(const Bytes& name, std::uint16_t type, std::size_t size) {
  return name + be16(type) + be16(1) + Bytes{0, 0, 0, 60} + be16(size) + Bytes(size, 0xc0);
}

Bytes opt(std::uint16_t payload_size, std::uint8_t extended_rcode, std::size_t size) {
  return Bytes{0} + be16(41) + be16(payload_size) + Bytes{extended_rcode, 0, 0, 0} + be16(size) + Bytes(size, 0);
}

Bytes udp(const Bytes& payload, Ports ports) {
  return be16(ports.source) + be16(ports.dest) + be16(payload.size() + 8) + be16(0) + payload;
}

Bytes tcp(const Bytes& payload, Ports ports, std::uint8_t flags, std::uint8_t header_words) {
  return be16(ports.source) + be16(ports.dest) + Bytes{0, 0, 0, 1, 0, 0, 0, 0} +
         Bytes{static_cast<std::uint8_t>(header_words << 4), flags} + Bytes(6, 0) + payload;
}

Bytes prefixed(const Bytes& message) { return be16(message.size()) + message; }

Bytes ip4(const Bytes& payload, const Ip4& header) {
  const std::size_t options = header.header_words > 5 ? (header.header_words - 5U) * 4U : 0;
  return Bytes{static_cast<std::uint8_t>(header.version << 4 | header.header_words), 0} +
         be16(20 + options + payload.size()) + be16(7) + be16(header.fragment) + Bytes{64, header.protocol} + be16(0) +
         Bytes{10, 0, 0, 1, 10, 0, 0, 53} + Bytes(options, 1) + payload;
}

Bytes ip6(const Bytes& payload, std::uint8_t next, const Bytes& extensions) {
  Bytes client(16, 0), server(16, 0);
  client[0] = server[0] = 0xfd;
  client[15] = 1;
  server[15] = 53;
  return Bytes{0x60, 0, 0, 0} + be16(extensions.size() + payload.size()) + Bytes{next, 64} + client + server +
         extensions + payload;
}

}  // namespace cortexflow::test
