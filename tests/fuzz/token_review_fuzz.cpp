// SPDX-License-Identifier: Apache-2.0
// Any octets as an API server's answer to a TokenReview: a service account with names that can be in a SPIFFE ID, or a
// reason why not.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/source/kubernetes/token_review.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cortexflow::source;
  const auto review = read_token_review({reinterpret_cast<const char*>(data), size}, "cortexflow");
  const bool authenticated = review.result == TokenResult::kAuthenticated;
  const std::string names = review.account_namespace + review.account;
  const bool named = !review.account_namespace.empty() && !review.account.empty();
  if (authenticated != named || authenticated != review.why.empty()) std::abort();
  if (names.find_first_of("/:% ") != std::string::npos) std::abort();
  return 0;
}
