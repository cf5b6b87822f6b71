// SPDX-License-Identifier: Apache-2.0
// What operators' requests name, and how one is refused.
#pragma once

#include <string>
#include <utility>

#include "agent/base/result.h"
#include "agent/control/service_operator.h"
#include "agent/model/object.h"

namespace cortexflow {

[[nodiscard]] inline Result<model::ObjectName> object_name(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
    return fail("{}: expected NAMESPACE/NAME", text);
  }
  return model::ObjectName{text.substr(0, slash), text.substr(slash + 1)};
}

// With an HTTP status.
[[nodiscard]] inline tl::unexpected<control::Refused> refused(int status, Error error) {
  return tl::make_unexpected(control::Refused{status, std::move(error)});
}

}  // namespace cortexflow
