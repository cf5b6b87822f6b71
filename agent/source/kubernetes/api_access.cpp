// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/api_access.h"

#include <cstdlib>

#include "agent/source/kubernetes/kubeconfig.h"
#include "agent/source/manifest/file_text.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kCertificatesOctetsMax = 1 << 20;
constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

Result<ApiAccess> in_cluster() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (!host || !port) {
    return tl::make_unexpected(Error{"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set",
                                     "in-cluster works in a pod; elsewhere name a kubeconfig file"});
  }
  ApiAccess access;
  const bool v6 = std::string_view(host).find(':') != std::string_view::npos;
  access.servers.push_back(v6 ? fmt::format("https://[{}]:{}", host, port) : fmt::format("https://{}:{}", host, port));
  auto ca = read_whole(std::string(kServiceAccount) + "/ca.crt", kCertificatesOctetsMax);
  if (!ca) return tl::make_unexpected(std::move(ca.error()));
  access.ca = std::move(*ca);
  access.token_file = std::string(kServiceAccount) + "/token";
  return access;
}

}  // namespace

Result<ApiAccess> read_api_access(const std::string& path) {
  if (path == kInCluster) return in_cluster();
  const auto config = Kubeconfig::read({path});
  if (!config) return tl::make_unexpected(config.error());
  return config->access("");
}

}  // namespace cortexflow::source
