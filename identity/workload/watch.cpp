// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/watch.h"

#include <algorithm>

namespace cortexflow::identity {

std::set<std::string> Watch::standing(Time now) const {
  std::set<std::string> out;
  for (const auto& svid : held) {
    if (now < svid.renew_at) out.insert(svid.id);
  }
  return out;
}

Watch::Taken Watch::take(Made made, Time now) {
  Taken taken;
  known = true;
  std::vector<Svid> next;
  if (wants_svids) {
    for (const auto& id : made.ids) {
      const auto by_id = [&id](const Svid& svid) { return svid.id == id; };
      const auto fresh = std::find_if(made.svids.begin(), made.svids.end(), by_id);
      const auto old = std::find_if(held.begin(), held.end(), by_id);
      if (fresh != made.svids.end()) {
        taken.renewed += old != held.end() ? 1 : 0;
        next.push_back(std::move(*fresh));
        untold = true;
      } else if (old != held.end() && now < old->ends) {
        if (now >= old->renew_at) old->renew_at = now + kRetry;
        next.push_back(std::move(*old));
      }
    }
    untold = untold || next.size() != held.size();
    held = std::move(next);
  }
  taken.failed = made.refusal && !made.ids.empty();
  const bool nothing = wants_svids ? held.empty() : made.ids.empty();
  if (nothing) taken.refusal = made.refusal.value_or(Refusal{500, {"there is no certificate that holds", {}}});
  set_due();
  if (taken.failed) due = due ? std::min(*due, now + kRetry) : now + kRetry;
  return taken;
}

bool Watch::outdate(const std::function<bool(const std::string& serial)>& revoked) {
  bool any = false;
  for (auto& svid : held) {
    if (!revoked(svid.serial)) continue;
    svid.renew_at = svid.ends = Time();  // it holds no more
    any = true;
  }
  return any;
}

void Watch::set_due() {
  due.reset();
  for (const auto& svid : held) due = due ? std::min(*due, svid.renew_at) : svid.renew_at;
}

}  // namespace cortexflow::identity
