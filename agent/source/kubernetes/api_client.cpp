// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/api_client.h"

#include <fmt/format.h>

#include <new>
#include <utility>

#include "agent/source/kubernetes/curl_request.h"

namespace cortexflow::source {

struct ApiClient::Multi {
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> handle{curl_multi_init(), curl_multi_cleanup};
};

struct ApiClient::Transfer : CurlRequest {
  OnData on_data;
  OnEnd on_end;
  std::size_t server = 0;  // that was asked
  bool ended_by_us = false;

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
  transfer->on_data = std::move(on_data);
  transfer->on_end = std::move(on_end);
  transfer->server = server_;
  transfer->aim(access_, server(), *credential, request.path);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
  // Over TLS the handshake tells whether one connection will do for all; else nothing would, and they would wait for
  // it.
  curl_easy_setopt(handle, CURLOPT_PIPEWAIT, server().starts_with("https:") ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, static_cast<long>(answer_max.count()));
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, Transfer::write);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, Transfer::head);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, transfer.get());
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
  const auto failed = std::exchange(failed_, {});
  for (const auto& [on_end, answered] : failed) on_end(answered);
  if (!failed.empty()) wait_max = {};  // what they were for may have ended
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
    answered.error = transfer.failure(access_.servers[transfer.server], static_cast<CURLcode>(code));
    // Nothing came: another server may answer.
    if (status == 0 && transfer.server == server_) server_ = (server_ + 1) % access_.servers.size();
  }
  if (status == 401) credentials_.refused();
  transfer.on_end(answered);
}

void ApiClient::wake() { curl_multi_wakeup(multi_->handle.get()); }

}  // namespace cortexflow::source
