// SPDX-License-Identifier: Apache-2.0
// A cluster's API server, asked one thing after another.
#pragma once

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/source/kubernetes/api_client.h"
#include "agent/source/kubernetes/pod_exec.h"

namespace cortexflow::cli {

using Json = nlohmann::json;

// What the server refused, or why it did not answer.
struct ApiError {
  int status = 0;  // of HTTP; 0: it did not answer
  Error error;
};
template <typename T>
using ApiResult = tl::expected<T, ApiError>;

class ApiServer {
 public:
  explicit ApiServer(source::ApiAccess access);

  [[nodiscard]] ApiResult<Json> get(const std::string& path);
  [[nodiscard]] ApiResult<Json> post(const std::string& path, const Json& body);
  [[nodiscard]] ApiResult<Json> remove(const std::string& path);
  [[nodiscard]] ApiResult<std::string> text(const std::string& path);  // what is no JSON, such as a log
  // All items of a list, page by page.  `path` without a query; `selector` may be empty.
  [[nodiscard]] ApiResult<std::vector<Json>> list(const std::string& path, const std::string& selector = {});

  // From any thread.
  [[nodiscard]] Result<std::unique_ptr<source::PodExec>> exec(const source::ExecTarget& target) const;

  [[nodiscard]] const std::string& address() const { return access_.servers.front(); }

 private:
  [[nodiscard]] ApiResult<std::string> ask(const source::ApiRequest& request);
  [[nodiscard]] ApiResult<Json> ask_json(const source::ApiRequest& request);

  source::ApiAccess access_;
  source::ApiClient client_;
  mutable std::mutex mutex_;  // the next
  mutable source::CredentialSource credentials_;
};

}  // namespace cortexflow::cli
