// SPDX-License-Identifier: Apache-2.0
// The interfaces of the agent's network namespace, and word of when they or their addresses change.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow::kernel {

struct NetworkInterface {
  int index = 0;
  std::string name;
};

enum class Watched : std::uint8_t { kInterfaces, kAddresses };

class InterfaceWatch {
 public:
  [[nodiscard]] static Result<InterfaceWatch> open(Watched what);
  // Readable when an interface has come, gone or been renamed; or an address of one has come or gone.
  [[nodiscard]] int fd() const { return socket_.get(); }
  // Takes the word that has come; true if there was any, or some was lost.
  [[nodiscard]] bool changed();
  [[nodiscard]] static std::vector<NetworkInterface> list();

 private:
  explicit InterfaceWatch(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

// Frames on it begin with an Ethernet header; loopback's don't count.
[[nodiscard]] bool is_ethernet(const std::string& interface);

}  // namespace cortexflow::kernel
