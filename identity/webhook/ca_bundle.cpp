// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/ca_bundle.h"

#include "agent/source/kubernetes/base64.h"

namespace cortexflow::identity {

using nlohmann::json;

json ca_bundle_patch(const json& configuration, const std::string& pem) {
  const auto webhooks = configuration.find("webhooks");
  if (webhooks == configuration.end() || !webhooks->is_array()) return {};
  const auto bundle = source::to_base64(pem);
  auto changed = json::array();
  for (const auto& webhook : *webhooks) {
    if (!webhook.is_object() || !webhook.contains("name")) continue;
    const auto client = webhook.value("clientConfig", json::object());
    if (client.is_object() && client.value("caBundle", json()) == bundle) continue;
    changed.push_back({{"name", webhook["name"]}, {"clientConfig", {{"caBundle", bundle}}}});
  }
  return changed.empty() ? json() : json{{"webhooks", std::move(changed)}};
}

}  // namespace cortexflow::identity
