// SPDX-License-Identifier: Apache-2.0
// The file of the control socket.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace cortexflow::control {

// Whose socket it is, for what a refusal says.
struct SocketOwner {
  std::string setting = "--control-socket";
  std::string who = "agent";
  std::string unit = "cfagent";
};

// Makes way for a socket at `path`, its directory included; one that nobody answers is removed.  Refused where
// something answers, where another kind of file is there, and where the path is too long for a socket.
[[nodiscard]] Result<void> claim_socket_path(const std::string& path, const SocketOwner& owner = {});

// Readable and writable by its owner and by group `group_name`, if there is such a group.
void share_socket(const std::string& path, const std::string& group_name);

}  // namespace cortexflow::control
