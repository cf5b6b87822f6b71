// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/frames.h"

#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>

namespace cortexflow::test {
namespace {

bool is_v6(const std::string& address) { return address.find(':') != std::string::npos; }

Bytes octets_of(const std::string& address) {
  Bytes out(is_v6(address) ? 16 : 4);
  if (inet_pton(is_v6(address) ? AF_INET6 : AF_INET, address.c_str(), out.data()) != 1)
    throw std::runtime_error(address);
  return out;
}

Bytes be32(std::uint32_t value) { return be16(value >> 16) + be16(value & 0xffff); }

// RFC 1071, octet by octet.
std::uint16_t sum(const Bytes& data) {
  std::uint32_t total = 0;
  for (std::size_t i = 0; i < data.size(); ++i) total += i % 2 ? data[i] : std::uint32_t{data[i]} << 8;
  while (total >> 16) total = (total >> 16) + (total & 0xffff);
  return static_cast<std::uint16_t>(total);
}

void set16(Bytes& data, std::size_t at, std::uint16_t value) {
  data[at] = static_cast<std::uint8_t>(value >> 8);
  data[at + 1] = static_cast<std::uint8_t>(value & 0xff);
}

Bytes pseudo_header(const Bytes& source, const Bytes& dest, std::uint8_t protocol, std::size_t length) {
  return source + dest + be32(static_cast<std::uint32_t>(length)) + Bytes{0, 0, 0, protocol};
}

Bytes in_ip(const Bytes& source, const Bytes& dest, std::uint8_t protocol, const Bytes& payload, const IpHeader& ip) {
  if (source.size() == 4) {
    Bytes header = Bytes{static_cast<std::uint8_t>(0x45 + ip.options / 4), 0} + be16(20 + ip.options + payload.size()) +
                   be16(ip.id) + be16(ip.fragment) + Bytes{ip.ttl, protocol, 0, 0} + source + dest +
                   Bytes(ip.options, 1);
    set16(header, 10, static_cast<std::uint16_t>(~sum(header)));
    return header + payload;
  }
  Bytes extensions;
  std::uint8_t next = protocol;
  if (ip.fragment) {
    const std::size_t word = (ip.fragment & 0x1fffU) << 3 | (ip.fragment & 0x2000U ? 1 : 0);
    extensions = Bytes{next, 0} + be16(word) + be32(ip.id);
    next = 44;
  }
  if (ip.options) {
    Bytes hop(ip.options, 0);  // Pad1
    hop[0] = next;
    hop[1] = static_cast<std::uint8_t>(ip.options / 8 - 1);
    extensions = hop + extensions;
    next = 0;
  }
  return Bytes{0x60, 0, 0, 0} + be16(extensions.size() + payload.size()) + Bytes{next, ip.ttl} + source + dest +
         extensions + payload;
}

Bytes framed(const Bytes& packet) {
  return Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2} + be16(packet[0] >> 4 == 6 ? 0x86dd : 0x0800) + packet;
}

Bytes with_l4(const Peer& from, const Peer& to, std::uint8_t protocol, Bytes l4, std::size_t checksum_at,
              const IpHeader& ip) {
  const auto source = octets_of(from.address), dest = octets_of(to.address);
  if (checksum_at) {
    set16(l4, checksum_at, static_cast<std::uint16_t>(~sum(pseudo_header(source, dest, protocol, l4.size()) + l4)));
  }
  return framed(in_ip(source, dest, protocol, l4, ip));
}

std::string text(const Bytes& address) {
  char out[INET6_ADDRSTRLEN];
  return inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), out, sizeof out);
}

class Reader {
 public:
  Reader(const Bytes& data, std::size_t at) : data_(data), at_(at) {}

  std::string packet(bool quoted) {
    if (left() < 20) return "BAD short";
    const bool v6 = data_[at_] >> 4 == 6;
    const std::size_t address = v6 ? 16 : 4, begin = at_;
    std::size_t header = v6 ? 40 : (data_[at_] & 0xfU) * 4U;
    if (left() < header) return "BAD short";
    const std::size_t length = v6 ? 40 + u16(at_ + 4) : u16(at_ + 2);
    std::string bad;
    if (!quoted && length != left()) bad += " BAD length";
    if (!v6 && sum(slice(begin, header)) != 0xffff) bad += " BAD IP checksum";
    std::uint8_t protocol = data_[at_ + (v6 ? 6 : 9)];
    const auto ttl = data_[at_ + (v6 ? 7 : 8)];
    const auto source = slice(begin + (v6 ? 8 : 12), address), dest = slice(begin + (v6 ? 24 : 16), address);
    std::string marks;
    bool later = !v6 && (u16(begin + 6) & 0x1fff), first = !v6 && (u16(begin + 6) & 0x2000);
    if (!v6 && header > 20) marks += " options";
    while (v6 && (protocol == 0 || protocol == 44)) {
      if (protocol == 44) {
        later = u16(begin + header + 2) & ~7U, first = true;
        protocol = data_[begin + header];
        header += 8;
      } else {
        marks += " options";
        protocol = data_[begin + header];
        header += (data_[begin + header + 1] + 1U) * 8U;
      }
    }
    if (first || later) marks += later ? " later" : " first";
    at_ = begin + header;
    const auto rest = slice(at_, left());
    const auto checked = [&] {
      if (!quoted && !first && sum(pseudo_header(source, dest, protocol, rest.size()) + rest) != 0xffff) {
        bad += " BAD checksum";
      }
    };
    std::string from = text(source), to = text(dest), what;
    if (later) {
      what = "fragment";
    } else if (protocol == 6 || protocol == 17) {
      from = join(from, u16(at_)), to = join(to, u16(at_ + 2));
      what = protocol == 6 ? "tcp" : "udp";
      if (protocol == 6 && !quoted) what += flags(data_[at_ + 13]);
      if (protocol == 6 || u16(at_ + 6) != 0) checked();
      if (protocol == 17 && !quoted && u16(at_ + 6) == 0) what += " unchecked";
      if (protocol == 17 && !quoted && u16(at_ + 2) == kGue) {
        if (u16(at_ + 4) != rest.size()) bad += " BAD length";
        at_ += 8;
        return from + ">" + to + " gue ttl " + std::to_string(ttl) + bad + " [" + packet(false) + "]";
      }
    } else if (protocol == 4 || protocol == 41) {
      return from + ">" + to + " ipip ttl " + std::to_string(ttl) + bad + " [" + packet(false) + "]";
    } else if (protocol == 1 || protocol == 58) {
      if (protocol == 1 ? sum(rest) != 0xffff : (checked(), false)) bad += " BAD checksum";
      what = "icmp " + std::to_string(data_[at_]) + "/" + std::to_string(data_[at_ + 1]);
      if (const auto mtu = u16(at_ + 6)) what += " mtu " + std::to_string(mtu);
      at_ += 8;
      const auto inner = packet(true);
      return from + ">" + to + " " + what + marks + " ttl " + std::to_string(ttl) + bad + " [" + inner + "]";
    }
    return from + ">" + to + " " + what + marks + " ttl " + std::to_string(ttl) + bad;
  }

 private:
  static constexpr unsigned kGue = 6080;

  static std::string join(const std::string& address, unsigned port) {
    return (is_v6(address) ? "[" + address + "]" : address) + ":" + std::to_string(port);
  }
  static std::string flags(std::uint8_t bits) {
    std::string out;
    if (bits & kSyn) out += "S";
    if (bits & kFin) out += "F";
    if (bits & kRst) out += "R";
    if (bits & kAck) out += ".";
    return out.empty() ? out : " " + out;
  }
  std::size_t left() const { return data_.size() - std::min(at_, data_.size()); }
  unsigned u16(std::size_t at) const {
    return at + 1 < data_.size() ? static_cast<unsigned>(data_[at] << 8 | data_[at + 1]) : 0U;
  }
  Bytes slice(std::size_t at, std::size_t size) const {
    const auto begin = data_.begin() + static_cast<long>(std::min(at, data_.size()));
    return {begin, begin + std::min(static_cast<long>(size), data_.end() - begin)};
  }

  const Bytes& data_;
  std::size_t at_;
};

}  // namespace

Bytes tcp_frame(const Peer& from, const Peer& to, const Tcp& tcp, const Bytes& payload, const IpHeader& ip) {
  return with_l4(from, to, 6,
                 be16(from.port) + be16(to.port) + be32(tcp.sequence) + be32(tcp.ack) + Bytes{0x50, tcp.flags} +
                     be16(65535) + Bytes(4, 0) + payload,
                 16, ip);
}

Bytes udp_frame(const Peer& from, const Peer& to, const Bytes& payload, const IpHeader& ip, bool checksum) {
  return with_l4(from, to, 17, be16(from.port) + be16(to.port) + be16(8 + payload.size()) + be16(0) + payload,
                 checksum ? 6 : 0, ip);
}

Bytes later_fragment(const Peer& from, const Peer& to, std::uint8_t protocol, const IpHeader& ip) {
  return with_l4(from, to, protocol, Bytes(64, 0xab), 0, ip);
}

Bytes icmp_error(const std::string& router, std::uint8_t type, std::uint8_t code, std::uint32_t word,
                 const Bytes& about) {
  const bool v6 = about[14] >> 4 == 6;
  const std::size_t header = v6 ? 40 : (about[14] & 0xfU) * 4U;
  const Bytes quoted(about.begin() + 14, about.begin() + static_cast<long>(14 + header + 8));
  const Bytes to(quoted.begin() + (v6 ? 8 : 12), quoted.begin() + (v6 ? 24 : 16)), from = octets_of(router);
  Bytes icmp = Bytes{type, code, 0, 0} + be32(word) + quoted;
  const Bytes before = v6 ? pseudo_header(from, to, 58, icmp.size()) : Bytes();
  set16(icmp, 2, static_cast<std::uint16_t>(~sum(before + icmp)));
  return framed(in_ip(from, to, v6 ? 58 : 1, icmp, {}));
}

std::string describe(const Bytes& frame) { return Reader(frame, 14).packet(false); }

}  // namespace cortexflow::test
