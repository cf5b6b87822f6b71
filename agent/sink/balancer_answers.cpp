// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/balancer_answers.h"

#include <nlohmann/json.hpp>

#include "agent/model/time_text.h"

namespace cortexflow::sink {
namespace {

constexpr int kOk = 200, kNotFound = 404, kUnavailable = 503;

void say(const nlohmann::ordered_json& what, bool good, httplib::Response& response) {
  response.status = good ? kOk : kUnavailable;
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_content(what.dump(), "application/json");
}

}  // namespace

void answer_for_service(const model::ObjectName& service, std::size_t endpoints, bool healthy,
                        httplib::Response& response) {
  response.set_header("X-Load-Balancing-Endpoint-Weight", std::to_string(endpoints));
  say({{"service", {{"namespace", service.ns}, {"name", service.name}}},
       {"localEndpoints", endpoints},
       {"serviceProxyHealthy", healthy}},
      healthy && endpoints > 0, response);
}

void answer_for_node(const std::string& path, std::chrono::system_clock::time_point updated,
                     std::chrono::system_clock::time_point now, bool healthy, httplib::Response& response) {
  if (path != "/healthz" && path != "/livez") {
    response.status = kNotFound;
    response.set_content("there are /healthz and /livez\n", "text/plain");
    return;
  }
  say({{"lastUpdated", model::time_text(updated)}, {"currentTime", model::time_text(now)}, {"servedBy", "cortexflow"}},
      healthy || path == "/livez", response);
}

}  // namespace cortexflow::sink
