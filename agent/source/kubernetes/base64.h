// SPDX-License-Identifier: Apache-2.0
// RFC 4648, section 4: with padding, no line breaks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::source {

[[nodiscard]] inline std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.size() > padding && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  unsigned int bits = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const auto digit = kDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6U | static_cast<unsigned int>(digit);
    const std::size_t known = (i + 1) * 6 / 8;
    if (known > out.size()) out += static_cast<char>(bits >> ((i + 1) * 6 % 8));
  }
  return out;
}

}  // namespace cortexflow::source
