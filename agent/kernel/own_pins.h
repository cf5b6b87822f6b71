// SPDX-License-Identifier: Apache-2.0
// The names under which the agent pins below its pin path: what else is there is others'.
#pragma once

#include <string_view>

namespace cortexflow::kernel {

[[nodiscard]] bool is_own_pin(std::string_view name);

}  // namespace cortexflow::kernel
