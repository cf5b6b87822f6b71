// SPDX-License-Identifier: Apache-2.0
// What load balancers are told that ask this node over HTTP, in the form in which kube-proxy tells it
// (pkg/proxy/healthcheck), whose place the agent has.
#pragma once

#include <httplib.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "agent/model/service.h"

namespace cortexflow::sink {

// At a service's healthCheckNodePort, whatever the path: 200 or 503.  `endpoints`: of this node, for new callers;
// `healthy`: the node takes what comes from outside to them.
void answer_for_service(const model::ObjectName& service, std::size_t endpoints, bool healthy,
                        httplib::Response& response);

// /healthz: 200 or 503, by `healthy`; /livez: 200; else 404.  `updated`: when the agent last looked for changes.
// kube-proxy's nodeEligible is left out: the agent doesn't know whether the node is being deleted.
void answer_for_node(const std::string& path, std::chrono::system_clock::time_point updated,
                     std::chrono::system_clock::time_point now, bool healthy, httplib::Response& response);

}  // namespace cortexflow::sink
