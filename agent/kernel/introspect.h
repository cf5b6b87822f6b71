// SPDX-License-Identifier: Apache-2.0
// What the kernel says of loaded programs and maps.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow::kernel {

struct ProgramInfo {
  std::uint32_t id = 0;
  std::string name;
  std::string type;
  std::string attached_to;
  std::string pin;
  std::uint64_t run_count = 0;  // 0 unless the kernel keeps statistics
  std::uint64_t run_time_ns = 0;
  std::uint32_t verified_instructions = 0;
};

struct MapInfo {
  std::string name;
  std::uint64_t entries = 0;
  std::uint64_t max_entries = 0;
};

// The kernel keeps run time and run count of all programs as long as the fd lives (costs each run two clock reads).
[[nodiscard]] Result<Fd> enable_program_stats();

[[nodiscard]] ProgramInfo describe_program(int fd);

// Entries of a hash map, counted by walking its keys.  `key_size` up to 64 octets.
[[nodiscard]] std::uint64_t count_entries(int fd, std::uint32_t key_size, std::uint64_t max_entries);

}  // namespace cortexflow::kernel
