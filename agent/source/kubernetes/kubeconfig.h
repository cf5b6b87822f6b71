// SPDX-License-Identifier: Apache-2.0
// Kubeconfig files, as kubectl takes them: several count as one, and of a name that is in more than one the first does.
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/source/kubernetes/api_access.h"
#include "agent/source/manifest/value.h"

namespace cortexflow::source {

class Kubeconfig {
 public:
  struct Context {
    std::string name, cluster, server;
    std::string file;  // that has the context
  };

  // What kubectl would read: the files of KUBECONFIG, else ~/.kube/config.
  [[nodiscard]] static std::vector<std::string> default_files();
  // Files that there aren't are passed over, unless it is the only one.
  [[nodiscard]] static Result<Kubeconfig> read(const std::vector<std::string>& paths);

  [[nodiscard]] Result<std::vector<Context>> contexts() const;
  // `context` empty: the current one.
  [[nodiscard]] Result<ApiAccess> access(const std::string& context) const;

 private:
  struct File {
    std::string path;
    Value tree;
  };
  class Documents;

  std::vector<File> files_;
};

}  // namespace cortexflow::source
