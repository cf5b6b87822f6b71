// SPDX-License-Identifier: Apache-2.0
// Who asks the issuer for something, once it is known: by the kernel's word on a Unix socket's peer, or by a reviewed
// token.
#pragma once

#include <string>
#include <vector>

#include "identity/mapping.h"

namespace cortexflow::identity {

struct Principal {
  std::string text;                           // for refusals: "uid 1001, gid 1001, cgroup /system.slice/cart.service"
  bool is_operator = false;                   // may have and do anything
  std::vector<WorkloadRule> identities = {};  // that are its own, with the DNS names that it may have
};

}  // namespace cortexflow::identity
