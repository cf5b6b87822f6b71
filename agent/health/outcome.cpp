// SPDX-License-Identifier: Apache-2.0
#include "agent/health/outcome.h"

#include <cerrno>
#include <cstring>

namespace cortexflow::health {

Outcome outcome_of_errno(int number) {
  switch (number) {
    case ECONNREFUSED:
      return {CheckResult::kRefused, "connection refused"};
    case ETIMEDOUT:
      return {CheckResult::kTimeout, "connection timed out"};
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
      return {CheckResult::kUnreachable, std::strerror(number)};
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return {CheckResult::kClosed, "connection reset"};
    default:
      return {CheckResult::kNotAsked, std::strerror(number)};
  }
}

}  // namespace cortexflow::health
