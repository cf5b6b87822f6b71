// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "identity/cluster/api_object.h"
#include "identity/cluster/secret_store.h"

namespace cortexflow::identity {

// Secrets of an API server.  Those that it makes belong to the Secret `owner`, which it makes where there is none: with
// that one Kubernetes' garbage collector takes all of them away.
class ApiSecrets : public SecretStore {
 public:
  // `calls` has to outlive it.
  ApiSecrets(source::ApiCalls& calls, const std::string& name_space, std::string owner);

  [[nodiscard]] Stored<std::optional<StoredSecret>> get(const std::string& name) override;
  [[nodiscard]] Stored<StoredSecret> put(const std::string& name, const std::string& version, const std::string& claim,
                                         const std::map<std::string, std::string>& data) override;
  [[nodiscard]] Stored<void> remove(const std::string& name, const std::string& version) override;

 private:
  [[nodiscard]] Stored<std::string> owner_uid();

  const ApiObjects secrets_;
  const std::string owner_;
};

}  // namespace cortexflow::identity
