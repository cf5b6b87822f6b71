// SPDX-License-Identifier: Apache-2.0
// Being asked to end: SIGINT, SIGTERM, SIGHUP, SIGQUIT.
#pragma once

#include <chrono>

namespace cortexflow::cli {

// From here on the first of them is only remembered.  A second one ends the process at once, after `before_end`, which
// may do no more than a signal handler may.  A SIGHUP that is ignored (nohup) stays so.
void catch_interrupts(void (*before_end)() = nullptr);
[[nodiscard]] bool interrupted();
// Shorter where a signal comes.
void wait_for_interrupt(std::chrono::milliseconds time);

}  // namespace cortexflow::cli
