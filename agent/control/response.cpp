// SPDX-License-Identifier: Apache-2.0
#include "agent/control/response.h"

#include <httplib.h>

namespace cortexflow::control {

void answer(httplib::Response& response, const nlohmann::ordered_json& json) {
  response.set_content(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", kJson);
}

void refuse(httplib::Response& response, int status, const Error& error) {
  response.status = status;
  answer(response, {{"error", {{"message", error.message}, {"next_step", error.next_step}}}});
}

}  // namespace cortexflow::control
