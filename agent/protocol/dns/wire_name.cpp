// SPDX-License-Identifier: Apache-2.0
#include "agent/protocol/dns/wire_name.h"

#include <string_view>

namespace cortexflow::protocol::dns {
namespace {

constexpr std::size_t kLabelMax = 63;  // RFC 1035 2.3.4
constexpr std::size_t kNameMax = 255;

void append_escaped(std::string& text, std::uint8_t octet) {
  if (octet < 0x21 || octet > 0x7e) {
    text += '\\';
    text += static_cast<char>('0' + octet / 100);
    text += static_cast<char>('0' + octet / 10 % 10);
    text += static_cast<char>('0' + octet % 10);
    return;
  }
  const char c = static_cast<char>(octet);
  if (std::string_view(".;\\()\"@$").find(c) != std::string_view::npos) text += '\\';
  text += c;
}

}  // namespace

Result<std::string> to_text(std::span<const std::uint8_t> wire) {
  std::string text;
  text.reserve(wire.size());
  std::size_t at = 0;
  while (true) {
    if (at >= kNameMax) return fail("name is longer than {} octets", kNameMax);
    if (at >= wire.size()) return fail("name has no root: it ends after {} octets", wire.size());
    const std::size_t length = wire[at];
    ++at;
    if (length == 0) break;
    if (length > kLabelMax) return fail("label length {} at octet {} is more than {}", length, at - 1, kLabelMax);
    if (length > wire.size() - at) return fail("label of {} octets runs past the end of the name", length);
    if (!text.empty()) text += '.';
    for (const std::uint8_t octet : wire.subspan(at, length)) append_escaped(text, octet);
    at += length;
  }
  if (at != wire.size()) return fail("{} octets behind the root of the name", wire.size() - at);
  if (text.empty()) text += '.';  // the root
  return text;
}

std::string fold_case(std::string name) {
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

}  // namespace cortexflow::protocol::dns
