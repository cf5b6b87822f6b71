// SPDX-License-Identifier: Apache-2.0
// Any octets as the file of what operators set: refused in words, or the same after it was written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/source/override/override_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cortexflow::source;
  const auto read = parse_overrides({reinterpret_cast<const char*>(data), size});
  if (!read) {
    if (read.error().message.empty()) std::abort();
    return 0;
  }
  const auto again = parse_overrides(overrides_text(*read));
  if (!again || *again != *read) std::abort();
  return 0;
}
