// SPDX-License-Identifier: Apache-2.0
#include "agent/protocol/dns/wire_name.h"

#include <algorithm>
#include <array>

namespace cortexflow::protocol::dns {
namespace {

constexpr std::size_t kLabelMax = 63;  // RFC 1035 2.3.4
constexpr std::size_t kNameMax = 255;

enum class Shown : std::uint8_t { kAsDigits, kAsIs, kBehindBackslash };

constexpr std::array<Shown, 256> kShown = [] {
  std::array<Shown, 256> shown{};
  for (std::size_t octet = 0x21; octet <= 0x7e; ++octet) shown[octet] = Shown::kAsIs;
  for (const char c : {'.', ';', '\\', '(', ')', '"', '@', '$'}) {
    shown[static_cast<std::uint8_t>(c)] = Shown::kBehindBackslash;
  }
  return shown;
}();

void append_escaped(std::string& text, std::uint8_t octet) {
  text += '\\';
  if (kShown[octet] == Shown::kAsDigits) {
    text += static_cast<char>('0' + octet / 100);
    text += static_cast<char>('0' + octet / 10 % 10);
    text += static_cast<char>('0' + octet % 10);
  } else {
    text += static_cast<char>(octet);
  }
}

// Most labels need no escape: those are copied whole.
void append_label(std::string& text, std::span<const std::uint8_t> label) {
  const auto plain = [](std::uint8_t octet) { return kShown[octet] == Shown::kAsIs; };
  while (!label.empty()) {
    const auto end = std::find_if_not(label.begin(), label.end(), plain);
    const auto count = static_cast<std::size_t>(end - label.begin());
    text.append(reinterpret_cast<const char*>(label.data()), count);
    label = label.subspan(count);
    if (label.empty()) return;
    append_escaped(text, label.front());
    label = label.subspan(1);
  }
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
    append_label(text, wire.subspan(at, length));
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
