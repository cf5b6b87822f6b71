// SPDX-License-Identifier: Apache-2.0
// Any octets as a kernel record: no crash, and texts that are printable.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "agent/flow/lookup_builder.h"

namespace {

void require_printable(const std::string& text) {
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; })) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cortexflow;
  static flow::WorkloadResolver workloads(
      {[](std::uint64_t id) { return std::optional<std::string>(std::to_string(id)); },
       [](std::uint32_t) { return std::optional<std::string>(); },
       [] { return std::chrono::steady_clock::time_point{}; }});
  cf_dns_lookup record{};
  std::memcpy(&record, data, std::min(size, sizeof(record)));
  const auto lookup = flow::build(record, std::chrono::seconds(1'700'000'000), workloads);
  if (!lookup) return 0;
  require_printable(lookup->name);
  require_printable(lookup->comm);
  if (lookup->latency.count() < 0) std::abort();
  return 0;
}
