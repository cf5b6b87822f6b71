// SPDX-License-Identifier: Apache-2.0
#include "agent/health/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortexflow::health {
namespace {

constexpr std::size_t kHeadMax = 16384;  // interim answers with their fields; a final one is judged by its first line
constexpr std::string_view kVersion = "HTTP/1.";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Of "HTTP/1.1 200 OK"; 0 where it is none.
std::uint16_t status_of(std::string_view line) {
  const std::size_t at = kVersion.size() + 2;  // behind the minor version and a blank
  if (line.size() < at + 3 || !line.starts_with(kVersion) || !is_digit(line[at - 2]) || line[at - 1] != ' ') return 0;
  if (line.size() > at + 3 && line[at + 3] != ' ') return 0;
  if (!std::all_of(line.begin() + static_cast<std::ptrdiff_t>(at), line.begin() + static_cast<std::ptrdiff_t>(at + 3),
                   is_digit)) {
    return 0;
  }
  return static_cast<std::uint16_t>((line[at] - '0') * 100 + (line[at + 1] - '0') * 10 + (line[at + 2] - '0'));
}

// Behind the empty line that ends a message's fields; npos where that has not come yet.
std::size_t end_of_fields(std::string_view head) {
  const auto crlf = head.find("\r\n\r\n");
  const auto lf = head.find("\n\n");
  if (crlf == std::string_view::npos && lf == std::string_view::npos) return std::string_view::npos;
  return crlf < lf ? crlf + 4 : lf + 2;
}

}  // namespace

HttpExchange::HttpExchange(const Target& target)
    : request_(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: cortexflow-health\r\nAccept: */*\r\n"
                           "Connection: close\r\n\r\n",
                           target.check.path, authority(target))),
      status_min_(target.check.status_min),
      status_max_(target.check.status_max) {}

std::optional<Outcome> HttpExchange::received(std::string_view octets) {
  head_.append(octets.substr(0, kHeadMax - std::min(kHeadMax, head_.size())));
  for (;;) {
    const auto begun = std::min(head_.size(), kVersion.size());
    if (head_.compare(0, begun, kVersion, 0, begun) != 0)
      return Outcome{CheckResult::kProtocol, "the answer is not HTTP/1"};
    const auto end = head_.find('\n');
    if (end == std::string::npos) break;
    std::string_view line = std::string_view(head_).substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto status = status_of(line);
    if (status < 100 || status > 599) return Outcome{CheckResult::kProtocol, "the answer's status line is not HTTP/1"};
    if (status >= 200 || status == 101) {
      if (status >= status_min_ && status <= status_max_)
        return Outcome{CheckResult::kHealthy, fmt::format("status {}", status)};
      const auto expected =
          status_min_ == status_max_ ? fmt::format("{}", status_min_) : fmt::format("{}-{}", status_min_, status_max_);
      return Outcome{CheckResult::kStatus, fmt::format("status {}, expected {}", status, expected)};
    }
    const auto next = end_of_fields(head_);  // an interim answer: the one that counts comes behind it
    if (next == std::string_view::npos) break;
    head_.erase(0, next);
    if (head_.empty()) return std::nullopt;
  }
  if (head_.size() >= kHeadMax)
    return Outcome{CheckResult::kProtocol, "no status within the answer's first 16384 octets"};
  return std::nullopt;
}

}  // namespace cortexflow::health
