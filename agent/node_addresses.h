// SPDX-License-Identifier: Apache-2.0
// This machine's own addresses in this network namespace, but loopback's and link-local ones, as they come and go.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/kernel/interface_watch.h"
#include "agent/model/ip_address.h"

namespace cortexflow {

struct InterfaceAddress {
  std::string interface;
  model::IpAddress address;
  bool operator==(const InterfaceAddress&) const = default;
};

class NodeAddresses {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] static Result<NodeAddresses> open();
  // Readable when poll() has something to do.
  [[nodiscard]] int fd() const { return watch_.fd(); }
  // True if they are others than before.  Where the kernel doesn't tell, they stay as they were, and are asked for
  // again a second later.
  [[nodiscard]] Result<bool> poll(Clock::time_point now);

  [[nodiscard]] const std::vector<InterfaceAddress>& all() const { return all_; }
  // Each once: where node ports answer.
  [[nodiscard]] std::vector<model::IpAddress> distinct() const;

 private:
  explicit NodeAddresses(kernel::InterfaceWatch watch) : watch_(std::move(watch)) {}

  kernel::InterfaceWatch watch_;
  std::vector<InterfaceAddress> all_;
  Clock::time_point retry_ = Clock::time_point::max();
};

}  // namespace cortexflow
