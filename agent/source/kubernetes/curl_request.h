// SPDX-License-Identifier: Apache-2.0
// What every request to an API server needs of libcurl: the way there, TLS, who asks.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>

#include "agent/source/kubernetes/token.h"

namespace cortexflow::source {

// "https://10.96.0.1:443/prefix" -> {"https", "10.96.0.1", "443", "/prefix"}
struct ServerUrl {
  std::string scheme, host, port, path;
};
[[nodiscard]] ServerUrl parse_server_url(const std::string& text);

// Once, before all else of libcurl; further calls do nothing.
void start_curl();

struct CurlRequest {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{nullptr, curl_easy_cleanup};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{nullptr, curl_slist_free_all};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> connect_to{nullptr, curl_slist_free_all};
  std::array<char, CURL_ERROR_SIZE> error{};

  // Throws std::bad_alloc where there is no memory for a handle.
  CurlRequest();

  void add_header(const std::string& line) { headers.reset(curl_slist_append(headers.release(), line.c_str())); }
  // Sets all but the credential's token, which is a header.  `path` begins with '/'.
  void aim(const ApiAccess& access, const std::string& server, const Credential& credential, const std::string& path);
  // "SERVER: why"; what to check where it is the server's certificate.
  [[nodiscard]] std::string failure(const std::string& server, CURLcode code) const;
};

}  // namespace cortexflow::source
