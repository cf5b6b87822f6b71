// SPDX-License-Identifier: Apache-2.0
// The roots by which an API server knows the webhook, in the configurations that name it
// (clientConfig.caBundle of admissionregistration.k8s.io/v1).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cortexflow::identity {

// What changes a Mutating- or ValidatingWebhookConfiguration so that each of its webhooks has the roots `pem`: a
// strategic merge patch.  Null where all have them.
[[nodiscard]] nlohmann::json ca_bundle_patch(const nlohmann::json& configuration, const std::string& pem);

}  // namespace cortexflow::identity
