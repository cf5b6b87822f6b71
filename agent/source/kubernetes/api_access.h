// SPDX-License-Identifier: Apache-2.0
// Where the API server is, and what this process shows it: from a kubeconfig file, or a pod's service account.
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::source {

// Settings::kubeconfig that means the service account of the pod that this process runs in.
inline constexpr const char* kInCluster = "in-cluster";

// A program that prints an ExecCredential (client-go credential plugins).
struct ExecPlugin {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;  // beside this process's own
  std::string api_version;                                       // client.authentication.k8s.io/v1 or v1beta1
  std::string install_hint;
};

struct ApiAccess {
  std::vector<std::string> servers;  // "https://10.96.0.1"; when one does not answer, the next
  std::string proxy;                 // empty: as the environment says (HTTPS_PROXY, NO_PROXY)
  std::string ca;                    // PEM; empty: the system's
  std::string server_name;           // that the certificate has to have; empty: the host of the server
  bool insecure = false;
  std::string client_certificate, client_key;  // PEM; empty: none
  std::string token;                           // empty: none, or as the two below say
  std::string token_file;                      // is read again, as it is rotated
  ExecPlugin exec;                             // no command: none
  std::string user_agent = "cortexflow-agent";
};

// `path` is a file's, or kInCluster.
[[nodiscard]] Result<ApiAccess> read_api_access(const std::string& path);

}  // namespace cortexflow::source
