// SPDX-License-Identifier: Apache-2.0
// The edge's counters by name.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "bpf/abi/edge.h"

namespace cortexflow {

struct EdgeFigures {
  std::map<std::string, std::uint64_t> verdicts;  // each packet in one
  std::map<std::string, std::uint64_t> events;    // beside the verdict
};

[[nodiscard]] bool is_edge_drop(const std::string& verdict);
[[nodiscard]] EdgeFigures edge_figures(const std::array<std::uint64_t, CF_EDGE_C_MAX>& counters);

}  // namespace cortexflow
