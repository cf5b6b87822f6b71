// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/introspect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <utility>

#include "agent/kernel/map_batches.h"

namespace cortexflow::kernel {

Result<Fd> enable_program_stats() {
  const int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
  if (fd < 0) return fail_errno("the kernel keeps no program statistics", -fd, "set program_stats: false");
  return Fd(fd);
}

ProgramInfo describe_program(int fd) {
  ProgramInfo out;
  bpf_prog_info info{};
  __u32 length = sizeof info;
  if (bpf_prog_get_info_by_fd(fd, &info, &length) != 0) return out;
  out.id = info.id;
  out.name = info.name;
  const char* type = libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(info.type));
  out.type = type ? type : std::to_string(info.type);
  out.run_count = info.run_cnt;
  out.run_time_ns = info.run_time_ns;
  out.verified_instructions = info.verified_insns;
  return out;
}

std::uint64_t count_entries(int fd, std::uint32_t key_size, std::uint64_t max_entries) {
  std::array<char, 64> previous{};
  std::array<char, 64> next{};
  if (key_size > next.size()) return 0;
  std::uint64_t entries = 0;
  if (each_batch(fd, [&](std::size_t count, const char*, const char*) { entries += count; })) return entries;
  // Bounded: a walk starts again where an entry vanishes under it.
  for (const void* key = nullptr; entries < max_entries && bpf_map_get_next_key(fd, key, next.data()) == 0; ++entries) {
    previous = next;
    key = previous.data();
  }
  return entries;
}

}  // namespace cortexflow::kernel
