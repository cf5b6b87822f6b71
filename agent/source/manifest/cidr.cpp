// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/cidr.h"

#include <charconv>

namespace cortexflow::source {
namespace {

// Octets behind the prefix are a mistake more often than not: which of the two is meant?
bool has_host_bits(const model::Cidr& cidr) {
  for (unsigned bit = cidr.bits(); bit < 128; ++bit) {
    if (cidr.prefix.octets[bit / 8] & (0x80U >> (bit % 8))) return true;
  }
  return false;
}

struct ReadCidr {
  std::optional<model::Cidr> cidr;
  const char* expected = nullptr;
};

ReadCidr cidr_of(const std::string& text) {
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
  if (has_host_bits(cidr)) return {std::nullopt, "an address with zeros behind the prefix"};
  return {cidr, nullptr};
}

}  // namespace

std::optional<model::Cidr> parse_cidr(const std::string& text) { return cidr_of(text).cidr; }

model::Cidr read_cidr(const Field& field) {
  const auto read = cidr_of(field.required_text());
  if (read.expected) field.expected(read.expected);
  return read.cidr.value_or(model::Cidr{});
}

}  // namespace cortexflow::source
