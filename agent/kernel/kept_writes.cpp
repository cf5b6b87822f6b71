// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kept_writes.h"

#include <fmt/format.h>

namespace cortexflow::kernel {

Result<void> KeptWrites::apply(NamedMaps& maps, const Write& write) {
  return write.value ? maps.put(write.map, write.key, *write.value) : maps.erase(write.map, write.key);
}

Result<void> KeptWrites::write(NamedMaps& maps, const std::string& map, const std::string& key,
                               std::optional<std::string> value) {
  if (!kept_.empty()) {
    if (const auto before = by_entry_.extract({map, key}); !before.empty()) kept_.erase(before.mapped());
  }
  Write write{map, key, std::move(value)};
  auto done = apply(maps, write);
  if (done) return done;
  why_ = done.error().to_string();
  by_entry_[{map, key}] = next_;
  kept_.emplace(next_++, std::move(write));
  return done;
}

void KeptWrites::retry(NamedMaps& maps) {
  for (auto at = kept_.begin(); at != kept_.end();) {
    if (auto done = apply(maps, at->second); !done) {
      why_ = done.error().to_string();
      ++at;
      continue;
    }
    by_entry_.erase({at->second.map, at->second.key});
    at = kept_.erase(at);
  }
}

std::string KeptWrites::words() const {
  if (kept_.empty()) return {};
  return fmt::format("{} writes to the kernel's tables are tried again each second: {}", kept_.size(), why_);
}

}  // namespace cortexflow::kernel
