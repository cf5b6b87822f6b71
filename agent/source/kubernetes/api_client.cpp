// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/api_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <array>
#include <mutex>
#include <new>
#include <utility>

namespace cortexflow::source {
namespace {

constexpr long kConnectMax = 10;                         // seconds
constexpr long kKeepAliveIdle = 20, kKeepAliveEach = 5;  // seconds: a server that is gone shows within a minute
constexpr const char* kUserAgent = "cortexflow-agent";

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

curl_blob blob_of(const std::string& text) { return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY}; }

// "https://10.96.0.1:443/prefix" -> {"https", "10.96.0.1", "443", "/prefix"}
struct Url {
  std::string scheme, host, port, path;
};

std::string url_part(CURLU* url, CURLUPart part, unsigned int flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

Url parse_url(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  Url out{url_part(url.get(), CURLUPART_SCHEME, 0), url_part(url.get(), CURLUPART_HOST, 0),
          url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), url_part(url.get(), CURLUPART_PATH, 0)};
  while (out.path.ends_with('/')) out.path.pop_back();
  return out;
}

}  // namespace

struct ApiClient::Multi {
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> handle{curl_multi_init(), curl_multi_cleanup};
};

struct ApiClient::Transfer {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{curl_easy_init(), curl_easy_cleanup};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{nullptr, curl_slist_free_all};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> connect_to{nullptr, curl_slist_free_all};
  std::array<char, CURL_ERROR_SIZE> error{};
  OnData on_data;
  OnEnd on_end;
  std::size_t server = 0;  // that was asked
  bool ended_by_us = false;

  void add_header(const std::string& line) { headers.reset(curl_slist_append(headers.release(), line.c_str())); }

  static std::size_t write(char* octets, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    long status = 0;
    curl_easy_getinfo(transfer.handle.get(), CURLINFO_RESPONSE_CODE, &status);
    if (transfer.on_data({octets, size * count}, static_cast<int>(status))) return size * count;
    transfer.ended_by_us = true;
    return 0;
  }

  static std::size_t head(const char* line, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    long status = 0;
    curl_easy_getinfo(transfer.handle.get(), CURLINFO_RESPONSE_CODE, &status);
    if (std::string_view(line, size * count) == "\r\n") transfer.on_data({}, static_cast<int>(status));
    return size * count;
  }
};

ApiClient::ApiClient(ApiAccess access) : access_(std::move(access)), credentials_(access_) {
  start_curl();
  multi_ = std::make_unique<Multi>();
  if (!multi_->handle) throw std::bad_alloc();
}

ApiClient::~ApiClient() {
  for (const auto& [handle, transfer] : transfers_) curl_multi_remove_handle(multi_->handle.get(), handle);
}

void ApiClient::send(const ApiRequest& request, std::chrono::seconds answer_max, OnData on_data, OnEnd on_end) {
  const auto credential = credentials_.get(CredentialSource::Clock::now());
  if (!credential) {
    failed_.emplace_back(std::move(on_end), Answered{0, credential.error().to_string(), {}});
    return;
  }
  auto transfer = std::make_unique<Transfer>();
  CURL* handle = transfer->handle.get();
  if (!handle) throw std::bad_alloc();
  transfer->on_data = std::move(on_data);
  transfer->on_end = std::move(on_end);
  transfer->server = server_;
  const Url url = parse_url(server());
  std::string host = url.host;
  if (!access_.server_name.empty()) {
    // The name is in the URL, for SNI and the certificate; the connection goes to the host.
    host = access_.server_name;
    const auto way = fmt::format("{}:{}:{}:{}", host, url.port, url.host, url.port);
    transfer->connect_to.reset(curl_slist_append(nullptr, way.c_str()));
    curl_easy_setopt(handle, CURLOPT_CONNECT_TO, transfer->connect_to.get());
  }
  curl_easy_setopt(handle, CURLOPT_URL,
                   fmt::format("{}://{}:{}{}{}", url.scheme, host, url.port, url.path, request.path).c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
  // Over TLS the handshake tells whether one connection will do for all; else nothing would, and they would wait for
  // it.
  curl_easy_setopt(handle, CURLOPT_PIPEWAIT, url.scheme == "https" ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, kUserAgent);
  curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectMax);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, static_cast<long>(answer_max.count()));
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPIDLE, kKeepAliveIdle);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPINTVL, kKeepAliveEach);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, transfer->error.data());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, Transfer::write);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, Transfer::head);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, transfer.get());
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!access_.proxy.empty()) curl_easy_setopt(handle, CURLOPT_PROXY, access_.proxy.c_str());
  if (access_.insecure) {
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  const auto set_blob = [&](CURLoption option, const std::string& text) {
    if (text.empty()) return;
    auto blob = blob_of(text);
    curl_easy_setopt(handle, option, &blob);
  };
  set_blob(CURLOPT_CAINFO_BLOB, access_.ca);
  set_blob(CURLOPT_SSLCERT_BLOB, credential->client_certificate);
  set_blob(CURLOPT_SSLKEY_BLOB, credential->client_key);
  transfer->add_header("Accept: application/json");
  if (!request.body.empty()) {
    transfer->add_header("Content-Type: " + request.content_type);
    transfer->add_header("Expect:");  // it is short: no asking first
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_COPYPOSTFIELDS, request.body.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!credential->token.empty()) transfer->add_header("Authorization: Bearer " + credential->token);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, transfer->headers.get());
  curl_multi_add_handle(multi_->handle.get(), handle);
  transfers_.emplace(handle, std::move(transfer));
}

void ApiClient::run(std::chrono::milliseconds wait_max) {
  for (auto& [on_end, answered] : std::exchange(failed_, {})) on_end(answered);
  // Returns at once where a request was added, or a timer of curl's is due.
  curl_multi_poll(multi_->handle.get(), nullptr, 0, static_cast<int>(wait_max.count()), nullptr);
  int running = 0;
  curl_multi_perform(multi_->handle.get(), &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_->handle.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const auto code = message->data.result;
    const auto at = transfers_.find(message->easy_handle);
    curl_multi_remove_handle(multi_->handle.get(), at->first);
    const auto transfer = std::move(at->second);
    transfers_.erase(at);
    finish(*transfer, code);
  }
}

void ApiClient::finish(Transfer& transfer, int code) {
  Answered answered;
  long status = 0;
  curl_off_t after = 0;
  curl_easy_getinfo(transfer.handle.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer.handle.get(), CURLINFO_RETRY_AFTER, &after);
  answered.status = static_cast<int>(status);
  if (after > 0) answered.after = std::chrono::seconds(after);
  if (code != CURLE_OK && !transfer.ended_by_us) {
    const char* words = curl_easy_strerror(static_cast<CURLcode>(code));
    answered.error =
        fmt::format("{}: {}", access_.servers[transfer.server], transfer.error.front() ? transfer.error.data() : words);
    if (code == CURLE_PEER_FAILED_VERIFICATION) answered.error += "; check the kubeconfig's certificate-authority";
    // Nothing came: another server may answer.
    if (status == 0 && transfer.server == server_) server_ = (server_ + 1) % access_.servers.size();
  }
  if (status == 401) credentials_.refused();
  transfer.on_end(answered);
}

void ApiClient::wake() { curl_multi_wakeup(multi_->handle.get()); }

}  // namespace cortexflow::source
