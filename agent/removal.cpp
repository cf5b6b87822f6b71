// SPDX-License-Identifier: Apache-2.0
#include "agent/removal.h"

#include <filesystem>

#include "agent/kernel/interface_watch.h"
#include "agent/kernel/redirect.h"

namespace cortexflow {

Result<void> remove_left(const std::string& pin_path) {
  // Filters of clsact (before Linux 6.6) hang on no pin.
  for (const auto& interface : kernel::InterfaceWatch::list()) kernel::Redirect::detach(interface.index, pin_path);
  std::error_code error;
  std::filesystem::remove_all(pin_path, error);  // a link that is unpinned, and that nobody holds, detaches
  if (error) return fail("cannot remove {}: {}", pin_path, error.message());
  return {};
}

}  // namespace cortexflow
