// SPDX-License-Identifier: Apache-2.0
// From the contents of the kernel's tables back to images, so that an agent that returns goes on from them.  Pure.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/compile/operations.h"
#include "agent/compile/service_book.h"

namespace cortexflow::compile {

using MapContents = std::vector<std::pair<std::string, std::string>>;

// Entries that nothing leads to, as a writer that was killed halfway leaves them, are not in the images: `strays`
// erases them.
struct AdoptedMaps {
  Adopted adopted;
  std::vector<Operation> strays;
};

[[nodiscard]] AdoptedMaps adopt(const std::map<Map, MapContents>& contents);

}  // namespace cortexflow::compile
