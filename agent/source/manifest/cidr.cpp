// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/cidr.h"

#include <charconv>

namespace cortexflow::source {
namespace {

model::Cidr without_host_bits(model::Cidr cidr) {
  for (unsigned bit = cidr.bits(); bit < 128; ++bit) {
    auto& octet = cidr.prefix.octets[bit / 8];
    octet = static_cast<std::uint8_t>(octet & ~(0x80U >> (bit % 8)));
  }
  return cidr;
}

struct ReadCidr {
  std::optional<model::Cidr> cidr;
  const char* expected = nullptr;
};

ReadCidr cidr_of(const std::string& text, HostBits host_bits) {
  const auto slash = text.find('/');
  const auto address = model::IpAddress::parse(text.substr(0, slash));
  if (!address || (address->is_v4() && text.find(':') != std::string::npos)) {
    return {std::nullopt, "an address, or ADDRESS/LENGTH"};
  }
  const unsigned most = address->is_v4() ? 32 : 128;
  unsigned length = most;
  if (slash != std::string::npos) {
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + slash + 1, last, length);
    if (error != std::errc{} || end != last || length > most) return {std::nullopt, "ADDRESS/LENGTH"};
  }
  const model::Cidr cidr{*address, static_cast<std::uint8_t>(length)};
  const auto masked = without_host_bits(cidr);
  if (masked != cidr && host_bits == HostBits::kRefused) {
    return {std::nullopt, "an address with zeros behind the prefix"};
  }
  return {masked, nullptr};
}

}  // namespace

std::optional<model::Cidr> parse_cidr(const std::string& text) { return cidr_of(text, HostBits::kRefused).cidr; }

model::Cidr read_cidr(const Field& field, HostBits host_bits) {
  auto text = field.required_text();
  if (host_bits == HostBits::kDropped) {
    text.erase(0, text.find_first_not_of(' '));
    text.erase(text.find_last_not_of(' ') + 1);
  }
  const auto read = cidr_of(text, host_bits);
  if (read.expected) field.expected(read.expected);
  return read.cidr.value_or(model::Cidr{});
}

}  // namespace cortexflow::source
