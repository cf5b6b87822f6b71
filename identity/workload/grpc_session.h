// SPDX-License-Identifier: Apache-2.0
// The server's side of one HTTP/2 connection (RFC 9113, prior knowledge) that carries gRPC calls whose request is one
// small message: octets in, octets out, and what happened.  Frames and header compression are libnghttp2's; what it
// frees is wiped, as keys pass through.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/grpc/status.h"
#include "identity/secret.h"

namespace cortexflow::identity {

class GrpcSession {
 public:
  static constexpr std::size_t kRequestMax = 4096;  // octets of a message
  static constexpr std::uint32_t kStreamsMax = 100;

  enum class What : std::uint8_t { kCalled, kSent, kClosed };
  struct Event {
    What what;
    std::int32_t stream;
    std::string path;            // of kCalled
    bool from_workload = false;  // of kCalled: with the header that the Workload API asks for
  };

  GrpcSession();
  GrpcSession(const GrpcSession&) = delete;  // the session points back
  GrpcSession& operator=(const GrpcSession&) = delete;

  // False where the peer speaks no HTTP/2: what is left to send is all that is left to do.
  [[nodiscard]] bool receive(std::string_view octets);
  // What is to be sent now, valid until the next call; empty: nothing.
  [[nodiscard]] std::string_view next_output();
  // Since the last call, in their order.
  [[nodiscard]] std::vector<Event> take_events();

  // One message of a call's answer: `own`, then `shared`, both together as gRPC frames it.  kSent says when it is with
  // next_output() as a whole; not before that comes another.
  void send(std::int32_t stream, Secret own, std::shared_ptr<const std::string> shared);
  // Ends the call when its message is sent.
  void end(std::int32_t stream, grpc::Status status, std::string_view why);
  // No new calls; for when the server ends.
  void go_away();

  [[nodiscard]] bool finished() const;  // nothing more to read or to send

 private:
  struct Callbacks;
  struct Stream {
    std::string method, path, content_type, from_workload, body;
    bool complete = false;  // all of the request is here
    bool answered = false;  // its response has begun
    bool ended = false;
    std::string status, why;  // once ended
    bool sending = false;     // these, of which `sent` octets are gone:
    Secret own;
    std::shared_ptr<const std::string> shared;
    std::size_t sent = 0;
  };

  [[nodiscard]] Stream* find(std::int32_t stream);
  void called(std::int32_t id, Stream& stream);
  void refuse(std::int32_t id, Stream& stream, grpc::Status status, std::string_view why);

  std::map<std::int32_t, Stream> streams_;
  std::vector<Event> events_;
  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr, nghttp2_session_del};
};

}  // namespace cortexflow::identity
