// SPDX-License-Identifier: Apache-2.0
// What an API server says to a request for one object: the object, that there is none, a conflict, or why not.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "agent/source/kubernetes/api_calls.h"

namespace cortexflow::identity {

enum class ApiOutcome { kObject, kMissing, kConflict, kFailed };

struct ApiObject {
  ApiOutcome outcome = ApiOutcome::kFailed;
  nlohmann::json object;  // of kObject
  Error error;            // of the others
};

// Of one object or one collection, such as "/api/v1/namespaces/shop/secrets".
class ApiObjects {
 public:
  // `calls` has to outlive it.  `may` says which right such requests take, for refusals: "get, patch and create
  // Secrets".
  ApiObjects(source::ApiCalls& calls, std::string collection, std::string may)
      : calls_(calls), collection_(std::move(collection)), may_(std::move(may)) {}

  [[nodiscard]] ApiObject get(const std::string& name) const;
  [[nodiscard]] ApiObject create(const nlohmann::json& object) const;
  // What it says is changed and the rest stays (RFC 7396); a conflict where metadata.resourceVersion is another.
  [[nodiscard]] ApiObject merge(const std::string& name, const nlohmann::json& patch) const;
  [[nodiscard]] ApiObject remove(const std::string& name, const std::string& version) const;

 private:
  [[nodiscard]] ApiObject ask(source::ApiRequest request) const;

  source::ApiCalls& calls_;
  const std::string collection_;
  const std::string may_;
};

// Text at metadata.KEY; empty: there is none.
[[nodiscard]] std::string metadata_text(const nlohmann::json& object, const char* key);

}  // namespace cortexflow::identity
