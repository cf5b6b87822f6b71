// SPDX-License-Identifier: Apache-2.0
// Any octets as what a caller sends to the Workload API, in pieces: each call is answered and ended, or the connection
// is over; a message has one reading.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/grpc/framing.h"
#include "agent/grpc/protobuf.h"
#include "identity/workload/grpc_session.h"

using namespace cortexflow;
using identity::GrpcSession;

namespace {

void answer(GrpcSession& session, const GrpcSession::Event& event) {
  static const auto kShared = std::make_shared<const std::string>(40'000, 's');
  if (event.what == GrpcSession::What::kSent) {
    session.end(event.stream, grpc::Status::kUnavailable, "done\x01");
  } else if (event.what == GrpcSession::What::kCalled) {
    if (event.path.empty()) std::abort();
    if (!event.from_workload) return session.end(event.stream, grpc::Status::kInvalidArgument, "no metadata");
    session.send(event.stream, identity::Secret(grpc::prefix_of(kShared->size() + 1) + "o"), kShared);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kPiece = 29;
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  if (const auto message = grpc::whole_message(octets)) {
    if (message->size() + grpc::kPrefix != size) std::abort();
  }
  (void)grpc::is_message(octets);
  GrpcSession session;
  for (std::size_t at = 0; at < size; at += kPiece) {
    const bool good = session.receive(octets.substr(at, kPiece));
    for (const auto& event : session.take_events()) answer(session, event);
    while (!session.next_output().empty()) {
      for (const auto& event : session.take_events()) answer(session, event);
    }
    if (!good || session.finished()) return 0;
  }
  session.go_away();
  return 0;
}
