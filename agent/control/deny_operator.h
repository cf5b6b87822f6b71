// SPDX-License-Identifier: Apache-2.0
// Whom the edge keeps out, and what an operator may do about it while it runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/control/service_operator.h"

namespace cortexflow::control {

inline constexpr const char* kOperatorOrigin = "operator";

struct DenyRow {
  std::string cidr;
  std::vector<std::uint16_t> ports;  // of the frontends; empty: all
  std::string direction;             // "In", "Out", "Both"
  std::string mode;                  // "Enforce", "Audit"
  std::optional<std::chrono::system_clock::time_point> expires;
  std::string origin;  // "operator", or "DenyList NAME"
};

struct DenyView {
  std::vector<DenyRow> entries;
  std::string hook;                       // where it is enforced; empty: nowhere
  std::string problem;                    // why not, or not everywhere; empty if it is
  std::uint64_t denied = 0, audited = 0;  // packets
};

// Thread-safe; done means that it is on disk and in the kernel.
class DenyOperator {
 public:
  virtual ~DenyOperator() = default;
  [[nodiscard]] virtual Answer<DenyView> deny_list() const = 0;
  // `entry`: JSON, as an item of a DenyList's spec.entries; takes the place of the operator's one for that prefix.
  virtual Done deny(const std::string& entry) = 0;
  // Takes the operator's entry for exactly that prefix out.
  virtual Done allow(const std::string& cidr) = 0;
};

}  // namespace cortexflow::control
