// SPDX-License-Identifier: Apache-2.0
// The authorities that the settings name: an own root in the state directory, or one that is given in files.
#pragma once

#include <memory>

#include "identity/authorities.h"
#include "identity/daemon/settings.h"

namespace cortexflow::identity {

[[nodiscard]] Result<std::unique_ptr<Authorities>> open_authorities(const Settings& settings, Time now);

}  // namespace cortexflow::identity
