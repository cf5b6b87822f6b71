// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/curl_request.h"

#include <fmt/format.h>

#include <mutex>
#include <new>

namespace cortexflow::source {
namespace {

constexpr long kConnectMax = 10;                         // seconds
constexpr long kKeepAliveIdle = 20, kKeepAliveEach = 5;  // seconds: a server that is gone shows within a minute

std::string url_part(CURLU* url, CURLUPart part, unsigned int flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

void set_blob(CURL* handle, CURLoption option, const std::string& text) {
  if (text.empty()) return;
  curl_blob blob{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
  curl_easy_setopt(handle, option, &blob);
}

}  // namespace

ServerUrl parse_server_url(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  ServerUrl out{url_part(url.get(), CURLUPART_SCHEME, 0), url_part(url.get(), CURLUPART_HOST, 0),
                url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), url_part(url.get(), CURLUPART_PATH, 0)};
  while (out.path.ends_with('/')) out.path.pop_back();
  return out;
}

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

CurlRequest::CurlRequest() {
  start_curl();
  handle.reset(curl_easy_init());
  if (!handle) throw std::bad_alloc();
}

void CurlRequest::aim(const ApiAccess& access, const std::string& server, const Credential& credential,
                      const std::string& path) {
  CURL* const curl = handle.get();
  const ServerUrl url = parse_server_url(server);
  std::string host = url.host;
  if (!access.server_name.empty()) {
    // The name is in the URL, for SNI and the certificate; the connection goes to the host.
    host = access.server_name;
    const auto way = fmt::format("{}:{}:{}:{}", host, url.port, url.host, url.port);
    connect_to.reset(curl_slist_append(nullptr, way.c_str()));
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, connect_to.get());
  }
  const auto whole = fmt::format("{}://{}:{}{}{}", url.scheme, host, url.port, url.path, path);
  curl_easy_setopt(curl, CURLOPT_URL, whole.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, access.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectMax);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, kKeepAliveIdle);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, kKeepAliveEach);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error.data());
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!access.proxy.empty()) curl_easy_setopt(curl, CURLOPT_PROXY, access.proxy.c_str());
  if (access.insecure) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  set_blob(curl, CURLOPT_CAINFO_BLOB, access.ca);
  set_blob(curl, CURLOPT_SSLCERT_BLOB, credential.client_certificate);
  set_blob(curl, CURLOPT_SSLKEY_BLOB, credential.client_key);
}

std::string CurlRequest::failure(const std::string& server, CURLcode code) const {
  auto out = fmt::format("{}: {}", server, error.front() != 0 ? error.data() : curl_easy_strerror(code));
  if (code == CURLE_PEER_FAILED_VERIFICATION) out += "; check the kubeconfig's certificate-authority";
  return out;
}

}  // namespace cortexflow::source
