// SPDX-License-Identifier: Apache-2.0
#include "identity/record_line.h"

#include <openssl/evp.h>

#include <array>

namespace cortexflow::identity {
namespace {

constexpr std::size_t kSumDigits = 16;
constexpr std::size_t kHead = kSumDigits + 1;

std::string sum_of(std::string_view record) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  EVP_Q_digest(nullptr, "SHA256", nullptr, record.data(), record.size(), digest.data(), nullptr);
  std::string out;
  for (std::size_t i = 0; i < kSumDigits / 2; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

std::optional<std::string_view> record_in(std::string_view line) {
  if (line.size() < kHead || line[kSumDigits] != ' ') return std::nullopt;
  const auto record = line.substr(kHead);
  return line.substr(0, kSumDigits) == sum_of(record) ? std::optional(record) : std::nullopt;
}

tl::unexpected<Error> damaged(const std::string& name, std::size_t line) {
  return tl::make_unexpected(Error{fmt::format("{}:{}: a damaged record, with good ones behind it", name, line),
                                   "the disk or an editor changed it: restore it from a backup"});
}

}  // namespace

std::string line_of(std::string_view record) { return fmt::format("{} {}\n", sum_of(record), record); }

Result<ReadLines> read_lines(std::string_view text, const std::string& name, const Records::Take& take) {
  ReadLines read;
  for (std::size_t at = 0, line = 1; at < text.size(); ++line) {
    const auto end = text.find('\n', at);
    const bool whole = end != std::string_view::npos;
    const auto record = whole ? record_in(text.substr(at, end - at)) : std::nullopt;
    if (record && read.broken != 0) return damaged(name, read.broken);
    if (record) {
      if (auto taken = take(*record); !taken) {
        return tl::make_unexpected(std::move(taken.error()).wrap(fmt::format("{}:{}", name, line)));
      }
      read.octets = end + 1;
    } else if (read.broken == 0) {
      read.broken = line;
    }
    at = whole ? end + 1 : text.size();
  }
  return read;
}

}  // namespace cortexflow::identity
