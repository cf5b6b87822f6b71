// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/base/result.h"

namespace cortexflow {

// A thread, where the system gives one: at the limits of tasks or of memory it is an error and no exception.
template <typename Function>
Result<std::thread> start_thread(Function&& function) {
  int why = 0;
  try {
    return std::thread(std::forward<Function>(function));
  } catch (const std::system_error& error) {
    why = error.code().value();
  } catch (const std::bad_alloc&) {
    why = ENOMEM;
  }
  return fail_errno("cannot start a thread", why,
                    "a limit of tasks or of memory is reached: look at TasksMax and LimitAS of the unit, pids.max of "
                    "the cgroup, ulimit -u and -v");
}

}  // namespace cortexflow
