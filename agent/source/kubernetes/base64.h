// SPDX-License-Identifier: Apache-2.0
// RFC 4648, section 4: with padding, no line breaks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::source {

inline constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

[[nodiscard]] inline std::string to_base64(std::string_view octets) {
  std::string out;
  out.reserve((octets.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < octets.size(); at += 3) {
    const auto octet = [&](std::size_t i) -> unsigned int {
      return at + i < octets.size() ? static_cast<unsigned char>(octets[at + i]) : 0;
    };
    const unsigned int bits = octet(0) << 16U | octet(1) << 8U | octet(2);
    for (std::size_t i = 0; i < 4; ++i) {
      out += at + i <= octets.size() ? kBase64Digits[bits >> (18 - 6 * i) & 63U] : '=';
    }
  }
  return out;
}

[[nodiscard]] inline std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.size() > padding && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  unsigned int bits = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const auto digit = kBase64Digits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6U | static_cast<unsigned int>(digit);
    const std::size_t known = (i + 1) * 6 / 8;
    if (known > out.size()) out += static_cast<char>(bits >> ((i + 1) * 6 % 8));
  }
  return out;
}

}  // namespace cortexflow::source
