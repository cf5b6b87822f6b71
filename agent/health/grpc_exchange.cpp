// SPDX-License-Identifier: Apache-2.0
#include "agent/health/grpc_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "agent/grpc/framing.h"
#include "agent/grpc/status.h"
#include "agent/health/grpc_message.h"

namespace cortexflow::health {
namespace {

using grpc::header;
using grpc::text_of;

constexpr std::size_t kBodyMax = 4096;
constexpr std::size_t kFieldMax = 64;  // of those that are read
constexpr std::array<const char*, 4> kServing{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
constexpr std::uint64_t kServes = 1;

}  // namespace

// What libnghttp2 calls, with the exchange as its user data.
struct GrpcExchange::Callbacks {
  static int on_header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t /*flags*/,
                       void* user) {
    auto& self = *static_cast<GrpcExchange*>(user);
    if (frame->hd.stream_id != self.stream_) return 0;
    const auto key = text_of(name, name_size);
    auto* const to = key == ":status"        ? &self.http_status_
                     : key == "grpc-status"  ? &self.grpc_status_
                     : key == "content-type" ? &self.content_type_
                                             : nullptr;
    if (to) *to = text_of(value, std::min(value_size, kFieldMax));
    return 0;
  }

  static int on_data(nghttp2_session* /*session*/, std::uint8_t /*flags*/, std::int32_t stream,
                     const std::uint8_t* data, std::size_t size, void* user) {
    auto& self = *static_cast<GrpcExchange*>(user);
    if (stream != self.stream_) return 0;
    if (self.body_.size() + size > kBodyMax) {
      self.outcome_ = Outcome{CheckResult::kProtocol, "the answer is too long for a gRPC health check"};
    } else {
      self.body_ += text_of(data, size);
    }
    return 0;
  }

  static int on_close(nghttp2_session* /*session*/, std::int32_t stream, std::uint32_t error, void* user) {
    auto& self = *static_cast<GrpcExchange*>(user);
    if (stream == self.stream_ && !self.outcome_) self.outcome_ = self.judge(error);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* /*session*/, std::int32_t /*stream*/, std::uint8_t* to, std::size_t room,
                           std::uint32_t* flags, nghttp2_data_source* /*source*/, void* user) {
    auto& unsent = static_cast<GrpcExchange*>(user)->unsent_;
    const auto size = std::min(room, unsent.size());
    std::copy_n(unsent.begin(), size, to);
    unsent.erase(0, size);
    if (unsent.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
};

GrpcExchange::GrpcExchange(const Target& target) : unsent_(health_request(target.check.grpc_service)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session* session = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) return;
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_close);
  const int made = nghttp2_session_client_new(&session, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) return;
  session_.reset(session);
  submit(target);
}

void GrpcExchange::submit(const Target& target) {
  const std::array settings{nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  const auto host = authority(target);
  const std::array fields{header(":method", "POST"),
                          header(":scheme", "http"),
                          header(":path", "/grpc.health.v1.Health/Check"),
                          header(":authority", host),
                          header("content-type", "application/grpc"),
                          header("te", "trailers"),
                          header("user-agent", "cortexflow-health")};
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read_body;
  stream_ = nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(), &body, nullptr);
}

std::string GrpcExchange::take_output() {
  serialize();
  return std::exchange(output_, {});
}

void GrpcExchange::serialize() {
  const std::uint8_t* data = nullptr;
  while (session_) {
    const auto size = nghttp2_session_mem_send(session_.get(), &data);
    if (size <= 0) break;
    output_ += text_of(data, static_cast<std::size_t>(size));
  }
}

std::optional<Outcome> GrpcExchange::received(std::string_view octets) {
  if (!session_ || stream_ < 0) return Outcome{CheckResult::kNotAsked, "Cannot allocate memory"};
  const auto taken =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
  if (outcome_) return outcome_;
  if (taken == NGHTTP2_ERR_NOMEM) return Outcome{CheckResult::kNotAsked, "Cannot allocate memory"};
  serialize();  // where the session has found an error, it has no more to read once its farewell is written
  if (taken < 0 || nghttp2_session_want_read(session_.get()) == 0) {
    return Outcome{CheckResult::kProtocol, "the answer is not HTTP/2"};
  }
  return std::nullopt;
}

Outcome GrpcExchange::judge(std::uint32_t error) const {
  if (error != NGHTTP2_NO_ERROR) {
    return {CheckResult::kProtocol, fmt::format("HTTP/2 stream error {}", nghttp2_http2_strerror(error))};
  }
  if (http_status_ != "200") {
    const bool digits =
        std::all_of(http_status_.begin(), http_status_.end(), [](char c) { return c >= '0' && c <= '9'; });
    return {CheckResult::kStatus, fmt::format("HTTP status {}, expected 200", digits ? http_status_ : "?")};
  }
  if (!content_type_.starts_with("application/grpc")) return {CheckResult::kProtocol, "the answer is not gRPC"};
  std::size_t code = 0;
  const auto [end, failed] = std::from_chars(grpc_status_.data(), grpc_status_.data() + grpc_status_.size(), code);
  if (failed != std::errc{} || end != grpc_status_.data() + grpc_status_.size()) {
    return {CheckResult::kProtocol, "the answer has no gRPC status"};
  }
  if (code != 0) {
    return {CheckResult::kStatus, fmt::format("gRPC status {} ({})", code, grpc::status_name(code))};
  }
  const auto serving = serving_status(body_);
  if (!serving) return {CheckResult::kProtocol, "the answer is no HealthCheckResponse"};
  const std::string words =
      *serving < kServing.size() ? kServing.at(*serving) : fmt::format("serving status {}", *serving);
  return {*serving == kServes ? CheckResult::kHealthy : CheckResult::kStatus, words};
}

}  // namespace cortexflow::health
