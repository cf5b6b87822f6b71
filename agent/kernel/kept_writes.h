// SPDX-License-Identifier: Apache-2.0
// Writes of a table's entries that the kernel refused (no memory, no room) and that are done again until they succeed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/base/result.h"
#include "agent/kernel/named_maps.h"

namespace cortexflow::kernel {

class KeptWrites {
 public:
  // No value: erases.  What is refused is the error, and is kept; the latest write of an entry is the one that counts.
  [[nodiscard]] Result<void> write(NamedMaps& maps, const std::string& map, const std::string& key,
                                   std::optional<std::string> value);
  // Those that are kept, in the order in which they were first refused.
  void retry(NamedMaps& maps);

  [[nodiscard]] std::size_t kept() const { return kept_.size(); }
  [[nodiscard]] std::string words() const;  // how many and why; empty: none

 private:
  struct Write {
    std::string map, key;
    std::optional<std::string> value;
  };
  [[nodiscard]] static Result<void> apply(NamedMaps& maps, const Write& write);

  std::map<std::uint64_t, Write> kept_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> by_entry_;
  std::uint64_t next_ = 0;
  std::string why_;
};

}  // namespace cortexflow::kernel
