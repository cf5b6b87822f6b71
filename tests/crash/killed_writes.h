// SPDX-License-Identifier: Apache-2.0
// Ends a process at its n-th change of a file.  The program is linked with --wrap for write, fsync, rename and
// ftruncate, so that the code under test has no hook of its own.
#pragma once

#include <functional>
#include <string>

namespace cortexflow::test {

enum class Death {
  kBefore,     // killed where the call would begin
  kHalfway,    // half of a write is done; other calls as above
  kPowerLoss,  // as above, and what was not synced is lost
};

// Runs `work` in a child that is killed at its `nth` change below `directory`, counted from 1.  True where it was
// killed; false where it came to its end first.
[[nodiscard]] bool killed_at(int nth, Death death, const std::string& directory, const std::function<void()>& work);

}  // namespace cortexflow::test
