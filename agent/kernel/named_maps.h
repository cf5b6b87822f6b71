// SPDX-License-Identifier: Apache-2.0
// The maps of a BPF object by the names that bpftool shows: what tables are written and read through.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/octets.h"
#include "agent/base/result.h"
#include "agent/kernel/introspect.h"

struct bpf_object;

namespace cortexflow::kernel {

class NamedMaps {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;  // key and value, octets as in bpf/abi

  // Thread-safe, as long as add() is over.  An entry of a map of arrays is its array's one element, written in place.
  [[nodiscard]] Result<void> put(std::string_view map, const std::string& key, const std::string& value);
  [[nodiscard]] Result<void> erase(std::string_view map, const std::string& key);  // one that is not there is no error
  [[nodiscard]] std::optional<std::string> find(std::string_view map, const std::string& key) const;
  [[nodiscard]] Entries read(std::string_view map) const;
  // Every entry of a hash map, many with each system call where the kernel can (5.6).  An entry that is made or deleted
  // meanwhile may be left out.
  void each(std::string_view map, const std::function<void(const void* key, const void* value)>& take) const;
  // find(), with its octets read; all zero where there is none.
  template <typename Value>
  [[nodiscard]] Value value(std::string_view map, std::uint32_t number) const {
    const auto found = find(map, octets_of(number));
    return found ? value_of<Value>(*found).value_or(Value{}) : Value{};
  }
  // Each sum over the processors of a per-CPU array of 64-bit counters.
  template <std::size_t kCount>
  [[nodiscard]] std::array<std::uint64_t, kCount> sums(std::string_view map) const {
    std::array<std::uint64_t, kCount> out{};
    for (std::uint32_t i = 0; i < kCount; ++i) out[i] = sum(map, i);
    return out;
  }
  // Of a map by its name, for programs that share it; -1 if there is none.
  [[nodiscard]] int fd(std::string_view map) const;
  [[nodiscard]] std::vector<MapInfo> maps() const;  // those that can be full

  // Its maps' fds have to live as long as this is used.
  void add(const bpf_object* object);
  void add(const std::string& name, int fd);

 private:
  struct One {
    int fd = -1;
    std::uint32_t type = 0, key_size = 0, value_size = 0, max_entries = 0;
  };
  [[nodiscard]] const One* one(std::string_view map) const;
  [[nodiscard]] std::uint64_t sum(std::string_view map, std::uint32_t index) const;

  std::map<std::string, One, std::less<>> maps_;
};

}  // namespace cortexflow::kernel
