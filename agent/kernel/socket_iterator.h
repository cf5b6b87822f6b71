// SPDX-License-Identifier: Apache-2.0
// Programs that run over the storage of sockets when they are read (iter/bpf_sk_storage_map), in every network
// namespace.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "agent/base/result.h"

struct bpf_link;
struct bpf_program;

namespace cortexflow::kernel {

// Null, and errno: it failed.
[[nodiscard]] bpf_link* attach_storage_iterator(const bpf_program* program, int storage_map);

// What one run writes, up to `limit` octets and what the last read gave beyond.
[[nodiscard]] Result<std::string> read_iterator_octets(const bpf_link* link, std::size_t limit);

// The same as records, `limit` at most.
template <typename Record>
Result<std::vector<Record>> read_iterator(const bpf_link* link, std::size_t limit) {
  const auto octets = read_iterator_octets(link, limit * sizeof(Record));
  if (!octets) return tl::make_unexpected(octets.error());
  std::vector<Record> out(std::min(limit, octets->size() / sizeof(Record)));
  if (!out.empty()) std::memcpy(out.data(), octets->data(), out.size() * sizeof(Record));
  return out;
}

}  // namespace cortexflow::kernel
