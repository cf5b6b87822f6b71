// SPDX-License-Identifier: Apache-2.0
// DenyList (cortexflow.io/v1alpha1): whom the edge keeps out.  Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/ip_address.h"
#include "agent/model/service.h"

namespace cortexflow::model {

struct DenyEntry {
  IpAddress prefix;
  std::uint8_t length = 32;          // in its own family: 0 to 32, or 0 to 128
  std::vector<std::uint16_t> ports;  // of the frontends, sorted; empty: all
  bool in = true;                    // clients that come from there
  bool out = false;                  // answers that go there
  bool audit = false;                // counted, and let pass
  std::optional<std::chrono::system_clock::time_point> expires;
  bool operator==(const DenyEntry&) const = default;

  // "198.51.100.0/24"
  [[nodiscard]] std::string cidr() const { return prefix.to_string() + "/" + std::to_string(length); }
};

struct DenyList {
  ObjectName name;  // without a namespace
  std::vector<DenyEntry> entries;
  bool operator==(const DenyList&) const = default;
};

}  // namespace cortexflow::model
