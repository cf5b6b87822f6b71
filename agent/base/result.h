// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or an Error that carries a chain of context.  Library code returns it and never logs.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace cortexflow {

// One sentence for the user; the innermost cause last.  `next_step` says what to do about it, and may be empty.
struct [[nodiscard]] Error {
  std::string message;
  std::string next_step;

  // "context: message"; keeps the next step.
  Error wrap(std::string_view context) && {
    return Error{fmt::format("{}: {}", context, message), std::move(next_step)};
  }

  std::string to_string() const { return next_step.empty() ? message : message + "; " + next_step; }
};

template <typename T>
using Result = tl::expected<T, Error>;

template <typename... Args>
tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::make_unexpected(Error{fmt::format(format, std::forward<Args>(args)...), {}});
}

// "what: strerror(errno_value)"
inline tl::unexpected<Error> fail_errno(std::string_view what, int errno_value, std::string next_step = {}) {
  return tl::make_unexpected(Error{fmt::format("{}: {}", what, std::strerror(errno_value)), std::move(next_step)});
}

}  // namespace cortexflow
