// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/base/result.h"

namespace httplib {
struct Response;
}  // namespace httplib

namespace cortexflow::control {

inline constexpr const char* kJson = "application/json";

void answer(httplib::Response& response, const nlohmann::ordered_json& json);
void refuse(httplib::Response& response, int status, const Error& error);

}  // namespace cortexflow::control
