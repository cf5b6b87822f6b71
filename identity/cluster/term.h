// SPDX-License-Identifier: Apache-2.0
// One term of leading.  What is written in it bears its claim; it is over with the first write that fails, as nobody
// knows then what is kept.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "agent/base/result.h"

namespace cortexflow::identity {

class Term {
 public:
  // `claim` is another in each term, of whatever process.
  explicit Term(std::string claim) : claim_(std::move(claim)) {}

  [[nodiscard]] const std::string& claim() const { return claim_; }
  [[nodiscard]] bool over() const { return over_; }
  void end() { over_ = true; }
  [[nodiscard]] static tl::unexpected<Error> is_over() {
    return tl::make_unexpected(
        Error{"this replica may write no more: another one leads now, or the API server could not be reached",
              "try again: one of them leads within seconds of the API server's return"});
  }

 private:
  const std::string claim_;
  std::atomic<bool> over_ = false;
};

}  // namespace cortexflow::identity
