// SPDX-License-Identifier: Apache-2.0
// Any octets: no crash, and text that is printable and no longer than four characters an octet.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/protocol/dns/wire_name.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = cortexflow::protocol::dns::to_text({data, size});
  if (!text) return 0;
  if (text->empty() || text->size() > size * 4) std::abort();
  for (const char c : *text) {
    if (c < 0x21 || c > 0x7e) std::abort();
  }
  return 0;
}
