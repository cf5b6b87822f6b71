// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/edge_slots.h"

namespace cortexflow::compile {

EdgeSlots move_slots(const EdgeSlots& before, const std::vector<std::uint16_t>& wanted,
                     const std::function<bool(std::uint16_t)>& lives) {
  EdgeSlots after(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const cf_edge_slot had = before.empty() ? cf_edge_slot{} : before[i];
    const auto now = wanted[i];
    const bool asked = had.before != 0;  // flows of this slot may be pinned
    after[i].now = now;
    if (now == had.now) {
      after[i].before = !asked ? 0 : lives(had.before) ? had.before : now;
    } else if (had.now != 0 && lives(had.now)) {
      after[i].before = had.now;
    } else {
      after[i].before = asked ? now : 0;
    }
  }
  return after;
}

EdgeSlots settle_slots(EdgeSlots slots) {
  for (auto& slot : slots) {
    if (slot.before != 0 && slot.now != 0) slot.before = slot.now;
  }
  return slots;
}

EdgeSlots clear_slots(EdgeSlots slots) {
  for (auto& slot : slots) {
    if (slot.before == slot.now) slot.before = 0;
  }
  return slots;
}

SlotStates states_of(const EdgeSlots& slots) {
  SlotStates out;
  for (const auto& slot : slots) {
    if (slot.before == 0) continue;
    ++(slot.before == slot.now ? out.pinned : out.moved);
  }
  return out;
}

}  // namespace cortexflow::compile
