// SPDX-License-Identifier: Apache-2.0
// A client's side of gRPC on a Unix socket, for the tests of the Workload API.
#pragma once

#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "agent/grpc/framing.h"
#include "agent/grpc/protobuf.h"

namespace cortexflow::test {

class WorkloadClient {
 public:
  explicit WorkloadClient(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session* session = nullptr;
    REQUIRE(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    REQUIRE(nghttp2_session_client_new(&session, callbacks, this) == 0);
    nghttp2_session_callbacks_del(callbacks);
    session_.reset(session);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }

  std::int32_t call(const std::string& method, std::string request = std::string(5, '\0'),
                    const std::string& header = "true") {
    const auto path = "/SpiffeWorkloadAPI/" + method;
    const std::array fields{grpc::header(":method", "POST"),
                            grpc::header(":scheme", "http"),
                            grpc::header(":path", path),
                            grpc::header(":authority", "localhost"),
                            grpc::header("content-type", "application/grpc"),
                            grpc::header("te", "trailers"),
                            grpc::header("workload.spiffe.io", header)};
    request_ = std::move(request);
    nghttp2_data_provider body{};
    body.read_callback = read_request;
    const auto stream = nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(), &body, nullptr);
    send_all();
    return stream;
  }

  // The next answer of that call; nothing where it has ended, or the server has hung up.
  std::optional<std::string> answer(std::int32_t stream) {
    auto& call = calls_[stream];
    while (true) {
      if (const auto message = first_of(call.body)) return message;
      if (!call.status.empty() || !read()) return std::nullopt;
    }
  }
  // The status that ended it; empty where the server hung up.
  std::string status(std::int32_t stream) {
    while (calls_[stream].status.empty() && read()) {
    }
    return calls_[stream].status;
  }
  void cancel(std::int32_t stream) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
    send_all();
  }

 private:
  struct Call {
    std::string body, status;
  };

  static std::optional<std::string> first_of(std::string& body) {
    if (body.size() < grpc::kPrefix) return std::nullopt;
    std::size_t size = 0;
    for (const char octet : body.substr(1, 4)) size = size << 8 | static_cast<std::uint8_t>(octet);
    if (body.size() < grpc::kPrefix + size) return std::nullopt;
    auto message = body.substr(grpc::kPrefix, size);
    body.erase(0, grpc::kPrefix + size);
    return message;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                       const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
    if (grpc::text_of(name, name_size) == "grpc-status")
      static_cast<WorkloadClient*>(user)->calls_[frame->hd.stream_id].status = grpc::text_of(value, value_size);
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data, std::size_t size,
                     void* user) {
    static_cast<WorkloadClient*>(user)->calls_[stream].body += grpc::text_of(data, size);
    return 0;
  }
  static ssize_t read_request(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t room, std::uint32_t* flags,
                              nghttp2_data_source*, void* user) {
    auto& request = static_cast<WorkloadClient*>(user)->request_;
    const auto size = std::min(room, request.size());
    std::copy_n(request.begin(), size, to);
    request.erase(0, size);
    if (request.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
  void send_all() {
    const std::uint8_t* data = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_.get(), &data)) > 0;) {
      if (::send(fd_.get(), data, static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) return;
    }
  }
  bool read() {
    send_all();
    std::array<std::uint8_t, 65536> buffer;
    pollfd ready{fd_.get(), POLLIN, 0};
    constexpr int kMost = 10'000;
    REQUIRE(poll(&ready, 1, kMost) == 1);
    const auto got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    return nghttp2_session_mem_recv(session_.get(), buffer.data(), static_cast<std::size_t>(got)) == got;
  }

  Fd fd_;
  std::string request_;
  std::map<std::int32_t, Call> calls_;
  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr, nghttp2_session_del};
};

}  // namespace cortexflow::test
