// SPDX-License-Identifier: Apache-2.0
// The body of an answer, of no more octets than any honest one has: who answers may be anybody's pod.
#pragma once

#include <fmt/format.h>

#include <string>

#include "agent/base/result.h"

namespace cortexflow::cli {

class AnswerBody {
 public:
  static constexpr std::size_t kOctetsMax = 64 << 20;

  // False: it is too long, and what comes is not taken.
  [[nodiscard]] bool take(const char* data, std::size_t size) {
    too_long_ = too_long_ || size > kOctetsMax - text_.size();
    if (!too_long_) text_.append(data, size);
    return !too_long_;
  }
  [[nodiscard]] bool is_too_long() const { return too_long_; }
  [[nodiscard]] const std::string& text() const { return text_; }

  [[nodiscard]] static Error too_long(std::size_t octets_max = kOctetsMax) {
    return {fmt::format("the answer has more than {} octets, and was not taken", octets_max),
            "no agent says as much: is it one that answers?"};
  }

 private:
  std::string text_;
  bool too_long_ = false;
};

}  // namespace cortexflow::cli
