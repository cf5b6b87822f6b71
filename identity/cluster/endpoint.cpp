// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/endpoint.h"

namespace cortexflow::identity {

using nlohmann::json;

Endpoint::Endpoint(source::ApiCalls& calls, const std::string& name_space, std::string service, std::string address,
                   Ports ports)
    : endpoints_(calls, fmt::format("/api/v1/namespaces/{}/endpoints", name_space), "patch the Endpoints " + service),
      service_(std::move(service)),
      address_(std::move(address)),
      ports_(std::move(ports)) {}

Result<void> Endpoint::announce() {
  auto ports = json::array();
  for (const auto& [name, number] : ports_) ports.push_back({{"name", name}, {"port", number}});
  const json subset{{"addresses", json::array({{{"ip", address_}}})}, {"ports", std::move(ports)}};
  const auto answer = endpoints_.merge(service_, {{"subsets", json::array({subset})}});
  if (answer.outcome != ApiOutcome::kObject) {
    return tl::make_unexpected(Error(answer.error).wrap(fmt::format("cannot write Endpoints {}", service_)));
  }
  version_ = metadata_text(answer.object, "resourceVersion");
  return {};
}

void Endpoint::withdraw() {
  if (version_.empty()) return;
  std::ignore = endpoints_.merge(service_, {{"metadata", {{"resourceVersion", version_}}}, {"subsets", nullptr}});
  version_.clear();
}

}  // namespace cortexflow::identity
