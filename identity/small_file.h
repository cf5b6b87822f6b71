// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/base/result.h"
#include "identity/secret.h"

namespace cortexflow::identity {

enum class Privacy {
  kAny,
  // Refused where its group or others may read or write it; but a process of another user than root's may be given
  // root's file by one of its groups, to read alone.
  kOwner,
};

// All of a regular file of at most 256 KiB.
[[nodiscard]] Result<Secret> read_small_file(const std::string& path, Privacy privacy);

// The first line; at least 12 octets.
[[nodiscard]] Result<Secret> read_passphrase(const std::string& path);

}  // namespace cortexflow::identity
