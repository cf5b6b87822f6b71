// SPDX-License-Identifier: Apache-2.0
// A Maglev table as the edge's kernel side has it, from one set of backends to the next (struct cf_edge_slot).  Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bpf/abi/edge.h"

namespace cortexflow::compile {

using EdgeSlots = std::vector<cf_edge_slot>;  // CF_EDGE_TABLE_SLOTS of them, or none

// `wanted`: the backend number of each slot, 0 for none.  `lives(number)`: it still has its flows, so that those in a
// slot that goes to another must be told from new ones.
[[nodiscard]] EdgeSlots move_slots(const EdgeSlots& before, const std::vector<std::uint16_t>& wanted,
                                   const std::function<bool(std::uint16_t)>& lives);

// The move is over: flows go by the table, those that are pinned elsewhere stay.
[[nodiscard]] EdgeSlots settle_slots(EdgeSlots slots);

// No flow is pinned any more: no connection table has to be asked.
[[nodiscard]] EdgeSlots clear_slots(EdgeSlots slots);

struct SlotStates {
  std::uint32_t moved = 0;   // since the last settle_slots
  std::uint32_t pinned = 0;  // settled, flows may be pinned elsewhere
};
[[nodiscard]] SlotStates states_of(const EdgeSlots& slots);

}  // namespace cortexflow::compile
