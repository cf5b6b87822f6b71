// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/grpc_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/grpc/framing.h"
#include "agent/grpc/protobuf.h"
#include "identity/workload/wiping_memory.h"

namespace cortexflow::identity {
namespace {

constexpr std::size_t kFieldMax = 256;  // of those that are read
constexpr std::uint32_t kHeadersMax = 8192;

}  // namespace

// What libnghttp2 calls, with the session as its user data.
struct GrpcSession::Callbacks {
  static int on_begin(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<GrpcSession*>(user);
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      self.streams_[frame->hd.stream_id];
    }
    return 0;
  }

  static int on_header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t /*flags*/,
                       void* user) {
    auto* stream = static_cast<GrpcSession*>(user)->find(frame->hd.stream_id);
    if (stream == nullptr || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const auto key = grpc::text_of(name, name_size);
    auto* const to = key == ":method"              ? &stream->method
                     : key == ":path"              ? &stream->path
                     : key == "content-type"       ? &stream->content_type
                     : key == "workload.spiffe.io" ? &stream->from_workload
                                                   : nullptr;
    if (to) *to = grpc::text_of(value, std::min(value_size, kFieldMax));
    return 0;
  }

  static int on_data(nghttp2_session* /*session*/, std::uint8_t /*flags*/, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* user) {
    auto& self = *static_cast<GrpcSession*>(user);
    auto* stream = self.find(id);
    if (stream == nullptr || stream->ended) return 0;
    if (stream->body.size() + size > grpc::kPrefix + kRequestMax) {
      self.refuse(id, *stream, grpc::Status::kResourceExhausted, "the request is too long");
    } else {
      stream->body += grpc::text_of(data, size);
    }
    return 0;
  }

  static int on_frame(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<GrpcSession*>(user);
    const bool carries_request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    auto* stream = carries_request ? self.find(frame->hd.stream_id) : nullptr;
    if (stream == nullptr || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    stream->complete = true;
    if (!stream->ended) self.called(frame->hd.stream_id, *stream);
    return 0;
  }

  // Who has more to say after the whole answer is told that nobody listens.
  static int on_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    const auto id = frame->hd.stream_id;
    const auto* stream = static_cast<GrpcSession*>(user)->find(id);
    if (stream != nullptr && !stream->complete) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static int on_close(nghttp2_session* /*session*/, std::int32_t id, std::uint32_t /*error*/, void* user) {
    auto& self = *static_cast<GrpcSession*>(user);
    if (self.streams_.erase(id) != 0) self.events_.push_back({What::kClosed, id, {}});
    return 0;
  }

  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t room,
                      std::uint32_t* flags, nghttp2_data_source* /*source*/, void* user) {
    auto& self = *static_cast<GrpcSession*>(user);
    auto* stream = self.find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    std::size_t copied = 0;
    if (stream->sending) {
      std::size_t begin = 0;  // of the part
      for (const auto part : {stream->own.view(), std::string_view(*stream->shared)}) {
        const auto at = stream->sent + copied;
        if (at >= begin && at < begin + part.size()) {
          const auto rest = part.substr(at - begin, room - copied);
          std::copy(rest.begin(), rest.end(), to + copied);
          copied += rest.size();
        }
        begin += part.size();
      }
      stream->sent += copied;
      if (stream->sent == stream->own.view().size() + stream->shared->size()) {
        stream->sending = false;
        stream->own = Secret();
        stream->shared.reset();
        self.events_.push_back({What::kSent, id, {}});
      }
    }
    if (!stream->sending && stream->ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::array trailers{grpc::header("grpc-status", stream->status), grpc::header("grpc-message", stream->why)};
      nghttp2_submit_trailer(session, id, trailers.data(), trailers.size());
    } else if (copied == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(copied);
  }
};

GrpcSession::GrpcSession() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session* session = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) return;
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::on_begin);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::on_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_close);
  const int made = nghttp2_session_server_new3(&session, callbacks, this, nullptr, wiping_memory());
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) return;
  session_.reset(session);
  const std::array settings{nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax},
                            nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeadersMax}};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
}

GrpcSession::Stream* GrpcSession::find(std::int32_t stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : &found->second;
}

bool GrpcSession::receive(std::string_view octets) {
  if (!session_) return false;  // no memory
  const auto taken =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
  return taken >= 0;
}

std::string_view GrpcSession::next_output() {
  const std::uint8_t* data = nullptr;
  const auto size = session_ ? nghttp2_session_mem_send(session_.get(), &data) : 0;
  return size <= 0 ? std::string_view() : grpc::text_of(data, static_cast<std::size_t>(size));
}

std::vector<GrpcSession::Event> GrpcSession::take_events() { return std::exchange(events_, {}); }

void GrpcSession::called(std::int32_t id, Stream& stream) {
  if (stream.method != "POST" || !stream.content_type.starts_with("application/grpc")) {
    const std::array answer{grpc::header(":status", "415")};  // as the protocol has it for what is no gRPC
    stream.ended = true;
    nghttp2_submit_response(session_.get(), id, answer.data(), answer.size(), nullptr);
    return;
  }
  if (!stream.body.empty() && stream.body.front() != '\0') {
    return refuse(id, stream, grpc::Status::kUnimplemented, "compressed requests are not taken");
  }
  const auto message = grpc::whole_message(stream.body);
  if (!message || !grpc::is_message(*message)) {
    return refuse(id, stream, grpc::Status::kInvalidArgument, "the request is not one message");
  }
  events_.push_back({What::kCalled, id, stream.path, stream.from_workload == "true"});
  stream.body = {};
}

void GrpcSession::send(std::int32_t id, Secret own, std::shared_ptr<const std::string> shared) {
  auto* stream = find(id);
  if (stream == nullptr || stream->ended || stream->sending) return;
  stream->own = std::move(own);
  stream->shared = std::move(shared);
  stream->sent = 0;
  stream->sending = true;
  if (std::exchange(stream->answered, true)) {
    nghttp2_session_resume_data(session_.get(), id);
    return;
  }
  const std::array fields{grpc::header(":status", "200"), grpc::header("content-type", "application/grpc")};
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read;
  nghttp2_submit_response(session_.get(), id, fields.data(), fields.size(), &body);
}

void GrpcSession::end(std::int32_t id, grpc::Status status, std::string_view why) {
  if (auto* stream = find(id); stream != nullptr && !stream->ended) refuse(id, *stream, status, why);
}

void GrpcSession::refuse(std::int32_t id, Stream& stream, grpc::Status status, std::string_view why) {
  stream.ended = true;
  stream.status = std::to_string(static_cast<unsigned>(status));
  stream.why = grpc::percent_encoded(why);
  stream.body = {};
  if (stream.answered) {
    nghttp2_session_resume_data(session_.get(), id);
    return;
  }
  stream.answered = true;
  const std::array fields{grpc::header(":status", "200"), grpc::header("content-type", "application/grpc"),
                          grpc::header("grpc-status", stream.status), grpc::header("grpc-message", stream.why)};
  nghttp2_submit_response(session_.get(), id, fields.data(), fields.size(), nullptr);
}

void GrpcSession::go_away() {
  if (session_)
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_.get()),
                          NGHTTP2_NO_ERROR, nullptr, 0);
}

bool GrpcSession::finished() const {
  return !session_ ||
         (nghttp2_session_want_read(session_.get()) == 0 && nghttp2_session_want_write(session_.get()) == 0);
}

}  // namespace cortexflow::identity
