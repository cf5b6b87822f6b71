// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/map_batches.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <string>

namespace cortexflow::kernel {

bool each_batch(int map, const std::function<void(std::size_t count, const char* keys, const char* values)>& take) {
  bpf_map_info info{};
  __u32 length = sizeof info;
  if (bpf_map_get_info_by_fd(map, &info, &length) != 0) return false;
  if (info.type != BPF_MAP_TYPE_HASH && info.type != BPF_MAP_TYPE_LRU_HASH) return false;
  constexpr __u32 kAtOnce = 1024;  // no bucket of a hash map has as many
  std::string keys(std::size_t{info.key_size} * kAtOnce, '\0'), values(std::size_t{info.value_size} * kAtOnce, '\0');
  __u32 place = 0;  // the next bucket
  for (bool first = true;; first = false) {
    __u32 count = kAtOnce;
    const int done =
        bpf_map_lookup_batch(map, first ? nullptr : &place, &place, keys.data(), values.data(), &count, nullptr);
    if (done != 0 && errno != ENOENT) return !first;
    take(count, keys.data(), values.data());
    if (done != 0) return true;  // these were the last
  }
}

}  // namespace cortexflow::kernel
