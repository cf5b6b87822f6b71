// SPDX-License-Identifier: Apache-2.0
// Requests to an API server, many at a time over one connection where the server speaks HTTP/2.  The one file that
// knows libcurl.  Not thread safe, but wake().
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "agent/source/kubernetes/reflector.h"
#include "agent/source/kubernetes/token.h"

namespace cortexflow::source {

struct ApiRequest {
  std::string method;     // GET, POST, PUT, PATCH, DELETE
  std::string path;       // begins with '/'
  std::string body = {};  // JSON; empty: none
  std::string content_type = "application/json";
};

class ApiClient {
 public:
  // Nothing: the answer has begun.  False: the rest is of no use.
  using OnData = std::function<bool(std::string_view octets, int status)>;
  using OnEnd = std::function<void(const Answered&)>;

  explicit ApiClient(ApiAccess access);
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;
  ~ApiClient();

  // The callbacks run within run(), each request's on_end once, last.
  void send(const ApiRequest& request, std::chrono::seconds answer_max, OnData on_data, OnEnd on_end);
  void get(const std::string& path, std::chrono::seconds answer_max, OnData on_data, OnEnd on_end) {
    send({"GET", path}, answer_max, std::move(on_data), std::move(on_end));
  }
  // Waits for something to do, does it.
  void run(std::chrono::milliseconds wait_max);
  // run() returns.  From any thread.
  void wake();

  [[nodiscard]] const std::string& server() const { return access_.servers[server_]; }

 private:
  struct Transfer;
  struct Multi;

  void finish(Transfer& transfer, int code);

  ApiAccess access_;
  CredentialSource credentials_;
  std::size_t server_ = 0;  // place in access_.servers
  std::unique_ptr<Multi> multi_;
  std::map<void*, std::unique_ptr<Transfer>> transfers_;  // by curl handle
  std::vector<std::pair<OnEnd, Answered>> failed_;        // before they could be sent
};

}  // namespace cortexflow::source
