// SPDX-License-Identifier: Apache-2.0
// What the kernel's records have in common, in the model's terms.
#pragma once

#include <linux/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>

#include "agent/flow/printable.h"
#include "agent/model/ip_address.h"
#include "bpf/abi/event.h"

namespace cortexflow::flow {

inline model::IpAddress address_of(const __u8 (&octets)[16]) {
  model::IpAddress address;
  std::copy(std::begin(octets), std::end(octets), address.octets.begin());
  return address;
}

inline std::chrono::system_clock::time_point system_time(std::uint64_t monotonic_ns, std::chrono::nanoseconds offset) {
  // Added without a sign: a record may hold any number, and overflow of a signed one is undefined.
  const auto since_epoch = static_cast<std::int64_t>(monotonic_ns + static_cast<std::uint64_t>(offset.count()));
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(since_epoch)));
}

// A CPU may read the clock a little before another that wrote the beginning: 0 then.
inline std::chrono::nanoseconds time_between(std::uint64_t begin_ns, std::uint64_t end_ns) {
  constexpr std::uint64_t kMax = static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count());
  const std::uint64_t ns = end_ns > begin_ns ? std::min(end_ns - begin_ns, kMax) : 0;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
}

inline std::string comm_of(const char (&comm)[CF_COMM_LEN]) {
  return printable(std::string(comm, strnlen(comm, sizeof comm)));
}

}  // namespace cortexflow::flow
