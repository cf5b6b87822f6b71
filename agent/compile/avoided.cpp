// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/avoided.h"

namespace cortexflow::compile {

const char* avoided_name(AvoidedBy by) {
  switch (by) {
    case AvoidedBy::kCheck:
      return "unhealthy";
    case AvoidedBy::kEjection:
      return "ejected";
    case AvoidedBy::kDrain:
      return "drained";
  }
  return "";
}

Availability availability(const std::vector<const AvoidedReasons*>& reasons, const std::vector<std::uint64_t>& shares,
                          std::uint32_t panic_percent) {
  Availability out;
  std::vector<bool> drained(reasons.size(), false);
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    const bool avoided = reasons[i] && !reasons[i]->empty();
    drained[i] = avoided && reasons[i]->contains(AvoidedBy::kDrain);
    out.choosable.push_back(!avoided);
    if (drained[i] || shares[i] == 0) continue;
    ++out.ready;
    if (!avoided) ++out.left;
  }
  out.panic = out.left * 100 < out.ready * panic_percent;
  if (!out.panic) return out;
  for (std::size_t i = 0; i < reasons.size(); ++i) out.choosable[i] = !drained[i];
  return out;
}

}  // namespace cortexflow::compile
