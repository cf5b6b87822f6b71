// SPDX-License-Identifier: Apache-2.0
// One call of grpc.health.v1.Health/Check (grpc/doc/health-checking.md) over HTTP/2 in clear text with prior knowledge
// (RFC 9113 3.3).  Frames and header compression are libnghttp2's.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>

#include "agent/health/exchange.h"

namespace cortexflow::health {

class GrpcExchange : public Exchange {
 public:
  explicit GrpcExchange(const Target& target);
  GrpcExchange(const GrpcExchange&) = delete;  // the session points back
  GrpcExchange& operator=(const GrpcExchange&) = delete;

  [[nodiscard]] std::string take_output() override;
  [[nodiscard]] std::optional<Outcome> received(std::string_view octets) override;

 private:
  struct Callbacks;
  friend struct Callbacks;

  void serialize();
  void submit(const Target& target);
  [[nodiscard]] Outcome judge(std::uint32_t error) const;

  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr, nghttp2_session_del};
  std::string unsent_;  // of the request's body
  std::string output_;
  std::int32_t stream_ = -1;
  std::string http_status_, grpc_status_, content_type_;
  std::string body_;
  std::optional<Outcome> outcome_;
};

}  // namespace cortexflow::health
