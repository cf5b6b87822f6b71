// SPDX-License-Identifier: Apache-2.0
// A reader a kind: a document's tree -> the model's object, with the API server's defaults and checks.  What they
// return counts only if the document has no problem.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/model/authorization_policy.h"
#include "agent/model/deny_list.h"
#include "agent/model/network_policy.h"
#include "agent/model/service.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

// More of each and the reader refuses the pod.
inline constexpr std::size_t kOwnersMax = 64;
inline constexpr std::size_t kContainersMax = 1000;
inline constexpr std::size_t kContainerPortsMax = 1000;

// The annotation cortexflow.io/weight: 0 to 1000.
[[nodiscard]] std::optional<std::uint32_t> parse_pod_weight(const std::string& text);

[[nodiscard]] model::Service read_service(const Field& object);
[[nodiscard]] model::EndpointSlice read_endpoint_slice(const Field& object);
[[nodiscard]] model::Pod read_pod(const Field& object);
[[nodiscard]] model::Namespace read_namespace(const Field& object);
[[nodiscard]] model::Node read_node(const Field& object);
[[nodiscard]] model::DenyList read_deny_list(const Field& object);
[[nodiscard]] model::AuthorizationPolicy read_authorization_policy(const Field& object);
[[nodiscard]] model::NetworkPolicy read_network_policy(const Field& object);
[[nodiscard]] model::TrafficPolicy read_traffic_policy(const Field& object);

}  // namespace cortexflow::source
