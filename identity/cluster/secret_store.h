// SPDX-License-Identifier: Apache-2.0
// Secrets of one namespace, as an API server has them: each write says which version it replaces.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::identity {

struct StoredSecret {
  std::string version;  // resourceVersion
  std::string uid;
  std::string claim;                        // annotation kClaimAnnotation
  std::map<std::string, std::string> data;  // decoded
};

inline constexpr const char* kClaimAnnotation = "cortexflow.io/claim";

struct StoreError {
  bool conflict = false;  // somebody else has written; otherwise it is not known whether this was
  Error error;
};
template <typename T>
using Stored = tl::expected<T, StoreError>;

class SecretStore {
 public:
  static constexpr std::size_t kDataMax = 1U << 20U;  // octets of one Secret (Kubernetes' MaxSecretSize)

  SecretStore() = default;
  SecretStore(const SecretStore&) = delete;
  SecretStore& operator=(const SecretStore&) = delete;
  virtual ~SecretStore() = default;

  // Nothing: there is none.
  [[nodiscard]] virtual Stored<std::optional<StoredSecret>> get(const std::string& name) = 0;
  // Makes it where `version` is empty; a conflict where there is one, or where its version is another.  Other data and
  // annotations stay.
  [[nodiscard]] virtual Stored<StoredSecret> put(const std::string& name, const std::string& version,
                                                 const std::string& claim,
                                                 const std::map<std::string, std::string>& data) = 0;
  // A conflict where its version is another.  One that is gone is no error.
  [[nodiscard]] virtual Stored<void> remove(const std::string& name, const std::string& version) = 0;
};

}  // namespace cortexflow::identity
