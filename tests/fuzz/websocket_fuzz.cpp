// SPDX-License-Identifier: Apache-2.0
// Any octets as a server's WebSocket frames: the same messages however they are cut, none longer than may be.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "agent/source/kubernetes/websocket.h"

namespace {

using namespace cortexflow::source;

// All messages until an error, or the end.
std::vector<std::string> messages(std::string_view octets, std::size_t step) {
  WebsocketReader reader;
  std::vector<std::string> out;
  while (!octets.empty()) {
    const auto size = std::min(step, octets.size());
    reader.feed(octets.substr(0, size));
    octets.remove_prefix(size);
    while (true) {
      auto message = reader.next();
      if (!message) return out;
      if (!*message) break;
      if ((*message)->payload.size() > WebsocketReader::kMessageMax) std::abort();
      out.push_back(std::move((*message)->payload));
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  if (messages(octets, size) != messages(octets, 1)) std::abort();
  return 0;
}
