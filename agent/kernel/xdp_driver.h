// SPDX-License-Identifier: Apache-2.0
// What the driver of an interface does for XDP.
#pragma once

#include <string>

namespace cortexflow::kernel {

[[nodiscard]] bool is_veth(const std::string& interface);

// Whether what a program in a driver (native mode) sends to the interface gets anywhere: where its driver isn't ready
// for that, it is dropped, and neither the program nor the sender hears of it.  A veth is ready once its other end has
// GRO switched on or an XDP program (kernel commit d3256efd8e8b, 5.13).  `native`: a program in its driver is on it.
[[nodiscard]] bool takes_xdp_frames(const std::string& interface, bool native);

}  // namespace cortexflow::kernel
